"""A cluster of Dask's on this machine, against a groatd with the profile work; packaging/e2e starts it."""

import unittest

import distributed
from test_processes import token_requests

import groat


class Cluster(unittest.TestCase):
    def test_workers_cost_no_request(self) -> None:
        token, before = groat.token("work"), token_requests()
        with distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster:
            with distributed.Client(cluster) as client:
                tokens = client.gather(client.map(groat.token, ["work"] * 50, pure=False))
                with self.assertRaises(groat.UnknownProfile):
                    client.submit(groat.token, "home").result()
        self.assertEqual((set(tokens), token_requests()), ({token}, before))
