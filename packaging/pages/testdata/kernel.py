"""Runs a notebook in a real Jupyter kernel, cell by cell, as its owner's browser does: saves it after each cell, and
its checkpoint beside it.

    kernel.py NOTEBOOK

It is told what to do by one JSON object a line on stdin, and says what happens by one a line on stdout:

    {"run": 3}           runs the cell with this number, and says {"ran": 3, "text": …, "error": …}: its outputs, and the
                         error's lines or null; meanwhile {"shows": …} for each output
    {"type": "source"}   runs a new cell at the end
    {"answer": "text"}   types that where the kernel asks, which is said as {"asks": PROMPT, "hidden": BOOL}
    {"nobody": BOOL}     whether nobody is there to be asked, as where a notebook is run by a program
    {"interrupt": true}  interrupts the kernel
    {"environment": 1}   says the kernel's own variables: {"environment": TEXT}

It begins with {"kernel": PID, "versions": TEXT, "cells": […]}, the sources of the cells, null for one that is text, and
ends when stdin does.
"""

import asyncio
import importlib.metadata
import json
import platform
import os
import shutil
import sys

import nbformat
from nbclient import NotebookClient


def say(**what):
    print(json.dumps(what), flush=True)


class Browser(NotebookClient):
    """A notebook's page, with somebody in front of it who can be asked."""

    async def async_start_new_kernel_client(self, **kwargs):
        kc = await super().async_start_new_kernel_client(**kwargs)
        kc.allow_stdin = True
        return kc

    def output(self, outs, msg, display_id, cell_index):
        shown = super().output(outs, msg, display_id, cell_index)
        if shown is not None:
            say(shows=text_of([shown]))
        return shown


def text_of(outputs):
    """What a reader sees, and what is behind it."""
    return "\n".join(json.dumps(o, ensure_ascii=False) for o in outputs)


async def lines():
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield json.loads(line)


async def questions(kc):
    while True:
        asked = await kc.stdin_channel.get_msg()
        if asked["msg_type"] == "input_request":
            say(asks=asked["content"]["prompt"], hidden=asked["content"]["password"])


def save(nb, path):
    """Writes the notebook, and beside it the copy that Jupyter makes (jupyter_server, FileCheckpoints)."""
    nbformat.write(nb, path)
    folder, name = os.path.split(path)
    os.makedirs(os.path.join(folder, ".ipynb_checkpoints"), exist_ok=True)
    stem, ext = os.path.splitext(name)
    shutil.copyfile(path, os.path.join(folder, ".ipynb_checkpoints", f"{stem}-checkpoint{ext}"))


async def run(page, n, path):
    cell = page.nb.cells[n]
    await page.async_execute_cell(cell, n)
    save(page.nb, path)
    failed = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    say(ran=n, text=text_of(cell.get("outputs", [])), error="\n".join(failed[0].traceback) if failed else None)


async def main(path):
    nb = nbformat.read(path, as_version=4)
    page = Browser(nb, timeout=120, allow_errors=True, record_timing=False, kernel_name="python3",
                   resources={"metadata": {"path": os.path.dirname(path)}})
    async with page.async_setup_kernel():
        packages = ("ipykernel", "nbclient", "requests", "authlib")
        say(kernel=page.km.provisioner.process.pid,
            versions=", ".join(["Python " + platform.python_version()] +
                               [f"{name} {importlib.metadata.version(name)}" for name in packages]),
            cells=[c.source if c.cell_type == "code" else None for c in nb.cells])
        asking = asyncio.ensure_future(questions(page.kc))
        running = None
        async for do in lines():
            if "type" in do:
                nb.cells.append(nbformat.v4.new_code_cell(do["type"]))
                do["run"] = len(nb.cells) - 1
            if "run" in do:
                running = asyncio.ensure_future(run(page, do["run"], path))
            elif "nobody" in do:
                page.kc.allow_stdin = not do["nobody"]
            elif "answer" in do:
                page.kc.input(do["answer"])
            elif "interrupt" in do:
                await page.km.interrupt_kernel()
            elif "environment" in do:
                asked = page.kc.execute("", silent=True, user_expressions={"all": "dict(__import__('os').environ)"})
                reply = await page.async_wait_for_reply(asked)
                say(environment=reply["content"]["user_expressions"]["all"]["data"]["text/plain"])
        asking.cancel()
        if running:
            await running


asyncio.run(main(os.path.abspath(sys.argv[1])))
