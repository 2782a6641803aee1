"""Builds the wheel and the source distribution of the Python package, with the standard library alone.

It is the build backend that pyproject.toml names (PEP 517), so "pip install ./protocol/python" needs no network and no
other package. As a program it writes both, which is what "make packages" does:

    python3 backend.py DIRECTORY VERSION

VERSION is the release's, as packaging/packages/packages.sh has it. The result depends on the files and on the version
alone: nothing is compressed, since compressors differ, and every date is SOURCE_DATE_EPOCH, or 1980.
"""

import base64
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))

METADATA = """\
Metadata-Version: 2.1
Name: groat
Version: {version}
Summary: OAuth access tokens from groatd, which keeps them fresh on this machine
Home-page: https://github.com/groat-dev/groat
License: Apache-2.0
Classifier: License :: OSI Approved :: Apache Software License
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3 :: Only
Classifier: Typing :: Typed
Requires-Python: >=3.9
Description-Content-Type: text/markdown

Asks groatd, over its socket, for the access token of a profile: `groat.token("work")`. groatd holds the credentials and
renews the tokens; this package holds nothing. It needs the programs groat and groatd, and no other package.
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: groat
Root-Is-Purelib: true
Tag: py3-none-any
"""


def pep440(release):
    """The version of PEP 440 for a release of groat's: 1.2.3, 1.2.3~rc1, or what a commit without a tag has."""
    match = re.fullmatch(
        r"(\d+(?:\.\d+)*)(?:~(?:(a|alpha|b|beta|rc)\.?(\d+)|(\d+)\.([0-9a-f]+)))?(?:\+([A-Za-z0-9]+))?", release
    )
    if match is None:
        raise ValueError(f"no Python package can have the version {release}")
    number, pre, nth, date, commit, changed = match.groups()
    if pre:
        number += {"alpha": "a", "beta": "b"}.get(pre, pre) + nth
    if date:
        number += f".dev{int(date)}"
    local = ".".join(word for word in (commit, changed) if word).lower()
    return number + "+" + local if local else number


def version():
    """The version of these files: what the source distribution says, or the git tag, or one before every release."""
    try:
        with open(os.path.join(HERE, "PKG-INFO"), encoding="utf-8") as f:
            return next(line.split()[1] for line in f if line.startswith("Version: "))
    except FileNotFoundError:
        pass
    describe = ["git", "-C", HERE, "describe", "--tags", "--exact-match", "--match", "v[0-9]*"]
    try:
        tag = subprocess.run(describe, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "0.dev0"
    return pep440(tag[1:])


def read(*name):
    with open(os.path.join(HERE, *name), "rb") as f:
        return f.read()


def license_text():
    try:
        return read("LICENSE")  # in a source distribution
    except FileNotFoundError:
        return read("..", "..", "LICENSE")


def modules():
    return [(f"groat/{name}", read("groat", name)) for name in ("__init__.py", "py.typed")]


def date():
    return max(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), 315532800)  # a ZIP file knows nothing before 1980


def wheel(directory, number):
    """Writes the wheel of a version (PEP 427) and returns its name."""
    info = f"groat-{number}.dist-info"
    files = modules() + [
        (f"{info}/LICENSE", license_text()),
        (f"{info}/METADATA", METADATA.format(version=number).encode()),
        (f"{info}/WHEEL", WHEEL.encode()),
    ]
    record = ""
    for name, content in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files.append((f"{info}/RECORD", (record + f"{info}/RECORD,,\n").encode()))
    wheel_name = f"groat-{number}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel_name), "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            member = zipfile.ZipInfo(name, time.gmtime(date())[:6])
            member.external_attr = 0o100644 << 16
            member.create_system = 3  # Unix, so that the mode counts
            archive.writestr(member, content)
    return wheel_name


def sdist(directory, number):
    """Writes the source distribution of a version (PEP 517) and returns its name."""
    top = f"groat-{number}"
    files = modules() + [
        ("LICENSE", license_text()),
        ("PKG-INFO", METADATA.format(version=number).encode()),
        ("backend.py", read("backend.py")),
        ("pyproject.toml", read("pyproject.toml")),
    ]
    sdist_name = top + ".tar.gz"
    with open(os.path.join(directory, sdist_name), "wb") as out:
        with gzip.GzipFile("", "wb", 0, out, date()) as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for name, content in files:
                    member = tarfile.TarInfo(f"{top}/{name}")
                    member.size, member.mtime, member.mode = len(content), date(), 0o644
                    archive.addfile(member, io.BytesIO(content))
    return sdist_name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return wheel(wheel_directory, version())


def build_sdist(sdist_directory, config_settings=None):
    return sdist(sdist_directory, version())


if __name__ == "__main__":
    _, out, release = sys.argv
    try:
        for build in wheel, sdist:
            build(out, pep440(release))
    except ValueError as e:
        sys.exit(f"backend.py: error: {e}\nbackend.py: hint: make packages VERSION=1.2.3")
