"""xarray over https, by zarr with fsspec and by rioxarray with GDAL, against an API of this file that wants the token.

The profiles grid and image list the API, which listens at GROAT_TEST_API; packaging/e2e has the groatd. GDAL is 3.10 or later.
"""

import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any

import groat
import numpy
import rasterio
import rioxarray
import xarray

HOST, _, PORT = os.environ["GROAT_TEST_API"].rpartition("/")[2].partition(":")
API = f"http://{HOST}:{PORT}"
SIZE = 512


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, whole or a range of one, to who has a token; it writes down which."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        path = self.translate_path(self.path)
        if not self.seen[-1]:
            return self.say(401)
        if not os.path.isfile(path):
            return self.say(404)
        with open(path, "rb") as f:
            content = f.read()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self.say(200, content)
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        self.say(206, content[first : last + 1], f"bytes {first}-{last}/{len(content)}")

    do_HEAD = do_GET

    def say(self, status: int, content: bytes = b"", part: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        if part:
            self.send_header("Content-Range", part)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


class Xarray(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.files = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.files.cleanup)
        cls.values = numpy.random.default_rng(1).integers(0, 1000, (SIZE, SIZE), dtype="int32")
        places = {"y": 20 - numpy.arange(SIZE) / 100, "x": 10 + numpy.arange(SIZE) / 100}
        data = xarray.Dataset({"dem": (("y", "x"), cls.values)}, places)
        data.to_zarr(cls.files.name + "/dem.zarr", encoding={"dem": {"chunks": (64, 64)}}, zarr_format=2)
        # By another process: GDAL reads its configuration when it is first used, and here that is by gdal_env.
        made = "import sys, xarray, rioxarray; xarray.open_zarr(sys.argv[1], chunks=None)['dem'].rio.to_raster(sys.argv[2]"
        made += ", tiled=True, blockxsize=64, blockysize=64)"
        files = cls.files.name + "/dem.zarr", cls.files.name + "/dem.tif"
        subprocess.run([sys.executable, "-I", "-c", made, *files], check=True)

        def handler(*args: Any) -> Handler:
            return Handler(*args, directory=cls.files.name)

        cls.server = http.server.ThreadingHTTPServer((HOST, int(PORT)), handler)
        cls.addClassCleanup(cls.server.server_close)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.server.shutdown)

    def setUp(self) -> None:
        Handler.seen.clear()

    def reads(self, array: Any, profile: str) -> None:
        """Reads the first half of an array with one token, and the other with the next one."""
        first = groat.header(profile)["Authorization"]
        numpy.testing.assert_array_equal(array[: SIZE // 2].values, self.values[: SIZE // 2])
        self.assertEqual(set(Handler.seen), {first})
        groat.reject(groat.token(profile), profile)
        second = groat.header(profile)["Authorization"]
        for kept in groat.request("export").get("exports", []):
            if kept["profile"] == profile:
                self.wait_for(kept["path"], second)
        Handler.seen.clear()
        numpy.testing.assert_array_equal(array[SIZE // 2 :].values, self.values[SIZE // 2 :])
        self.assertEqual(set(Handler.seen), {second})

    def wait_for(self, path: str, text: str) -> None:
        """Waits until a file that groatd keeps has the text."""
        end = time.monotonic() + 60
        while True:
            with open(path, encoding="ascii") as f:
                if text in f.read():
                    return
            self.assertLess(time.monotonic(), end, path)
            time.sleep(0.01)

    def test_zarr(self) -> None:
        with xarray.open_zarr(API + "/dem.zarr", chunks=None, storage_options=groat.storage_options("grid")) as data:
            self.reads(data["dem"], "grid")

    def test_rioxarray(self) -> None:
        with groat.gdal_env("image"), rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_CACHEMAX=1):
            with rioxarray.open_rasterio(f"/vsicurl/{API}/dem.tif", cache=False) as data:
                self.reads(data[0], "image")
