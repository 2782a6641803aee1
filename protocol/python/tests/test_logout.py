"""Logging out, with the profiles apps, which has App Credentials, lab and kept, which have a client, and work."""

import unittest

import groat


class Logout(unittest.TestCase):
    def test_a_logout(self) -> None:
        with self.assertRaises(groat.UsageError) as caught:
            groat.logout("apps")
        self.assertRegex(str(caught.exception), "^client .* stays at .*: yes=True .*\nhint: groat logout apps --yes$")
        self.assertTrue(groat.ready("apps"))
        for profile, more in (("apps", {"yes": True}), ("lab", {}), ("kept", {"keep_remote": True})):
            done = groat.logout(profile, **more)
            self.assertEqual((done["profile"], done["forgotten"]), (profile, True))
            with self.assertRaises(groat.UnknownProfile):
                groat.token(profile)
        self.assertEqual([p["profile"] for p in groat.profiles()], ["work"])
