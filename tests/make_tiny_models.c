/* SPDX-License-Identifier: Apache-2.0 */
/* make_tiny_models.c - write the swarm of tiny_swarm.h and the chat model of tiny_chat.h, as
 * chat.gguf, into a folder: make_tiny_models FOLDER */
#include "tiny_chat.h"
#include "tiny_swarm.h"

int main(int argc, char **argv)
{
    char       path[4096];
    tiny_swarm swarm = { .folder = argc > 1 ? argv[1] : "." };
    enx_status status = tiny_swarm_make(&swarm);
    snprintf(path, sizeof path, "%s/chat.gguf", swarm.folder);
    const tiny_chat chat = {
        .path = path, .template = tiny_chat_template, .context = 1024, .seed = 1
    };
    if (status == ENX_OK) status = tiny_chat_make(&chat, &swarm.report);
    if (status == ENX_OK) return 0;
    fprintf(stderr, "make_tiny_models: %s\n", swarm.report.text);
    return 1;
}
