/* SPDX-License-Identifier: Apache-2.0 */
/* cli_serve.h - the models of a server from files and swarms, and its jobs from the command line's.
 *
 * Layer: cli.  Thread-safety: the main thread, but for the ports, which the server's own call.
 */
#ifndef ENX_CLI_CLI_SERVE_H
#define ENX_CLI_CLI_SERVE_H

#include "cli/cli_job.h"
#include "serve/serve.h"

typedef struct cli_served {
    enx_serve_model  models[ENX_SERVE_MODELS_MAX];
    uint32_t         count;
    enx_buf          texts[2 * ENX_SERVE_MODELS_MAX]; /* paths and names, owned */
    uint32_t         text_count;
    enx_remote_model remotes[ENX_SERVE_MODELS_MAX];
    enx_config      *config;                    /* owned; NULL: no swarm */
    char             swarm[CLI_PATH_BYTES_MAX]; /* its path; "" without */
} cli_served;

void cli_served_deinit(cli_served *served);

/* Add a GGUF file, called as it is without folder and ".gguf".  ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status cli_served_add_file(cli_served *served, const char *path,
                                            enx_report *report);
/* Add every model of a swarm, each once.  Once; the failures of enx_config_open. */
ENX_MUST_USE enx_status cli_served_add_swarm(cli_served *served, const char *path,
                                             enx_report *report);

/* The ports of jobs.h; `user` is the swarm's path. */
enx_status cli_serve_job_add(void *user, enx_store *store, const enx_job_order *order, uint64_t *id,
                             enx_report *report);
enx_status cli_serve_job_items(void *user, enx_store *store, uint64_t id, json_t *out,
                               enx_report *report);
bool       cli_serve_job_is_busy(void *user, uint64_t id);

#endif /* ENX_CLI_CLI_SERVE_H */
