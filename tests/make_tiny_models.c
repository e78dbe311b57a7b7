/* SPDX-License-Identifier: Apache-2.0 */
/* make_tiny_models.c - write the swarm of tiny_swarm.h into a folder: make_tiny_models FOLDER */
#include "tiny_swarm.h"

int main(int argc, char **argv)
{
    tiny_swarm swarm = { .folder = argc > 1 ? argv[1] : "." };
    if (tiny_swarm_make(&swarm) == ENX_OK) return 0;
    fprintf(stderr, "make_tiny_models: %s\n", swarm.report.text);
    return 1;
}
