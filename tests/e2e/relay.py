#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""relay.py LISTEN_HOST:PORT TO_HOST:PORT DELAY_MS - a TCP way that takes its time, both ways."""
import asyncio
import sys


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


async def carry(reader, writer, delay_s):
    """Each piece leaves delay_s after it came, and the pieces after it do not wait for it."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    async def send():
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    sender = asyncio.ensure_future(send())
    try:
        while True:
            data = await reader.read(65536)
            await queue.put((loop.time() + delay_s, data))
            if not data:
                break
        await sender
    except OSError:
        sender.cancel()
        writer.close()


async def main(listen, to, delay_s):
    async def on_connection(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(*to)
        await asyncio.gather(carry(reader, far_writer, delay_s),
                             carry(far_reader, writer, delay_s))

    server = await asyncio.start_server(on_connection, *listen)
    async with server:
        await server.serve_forever()


asyncio.run(main(address(sys.argv[1]), address(sys.argv[2]), int(sys.argv[3]) / 1000))
