/* SPDX-License-Identifier: Apache-2.0 */
/* cli_stream.h - the certificate of a class that goes on from job to job.
 *
 * What may be one stream has one key: the class with its words and checks, the models (files by
 * their bytes), what is taken for doubtful, the promise, and this program.  Any change of it begins
 * a new epoch, which knows nothing of the last.  One process at a time works on a stream.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_STREAM_H
#define ENX_CLI_CLI_STREAM_H

#include "backend/config.h"
#include "cli/cli.h"
#include "cli/cli_recipe.h"
#include "store/store.h"

typedef struct cli_stream_options {
    const enx_config *config;
    const cli_recipe *recipe;     /* NULL: text is restored */
    double            accuracy;   /* above 0 */
    double            confidence; /* 0: .95 */
    uint64_t          seed;       /* of the coins of a new stream */
    uint64_t          now_us;
} cli_stream_options;

typedef struct cli_stream {
    enx_stream *stream; /* owned; NULL: the job has none */
    uint64_t    id;
    uint32_t    epoch;
    char        changed[32]; /* since the last epoch; "": this one was there, or is the first */
    bool        has_lock;
    int         lock_fd;
} cli_stream;

/* Find or make the stream, lock it and tell it all that it was shown before.  ENX_AGAIN: another
 * process works on it; ENX_FORMAT: its history is damaged; those of the store and of files. */
ENX_MUST_USE enx_status cli_stream_open(cli_stream *out, enx_store *store,
                                        const cli_stream_options *options, enx_report *report);
void                    cli_stream_close(cli_stream *stream);

#endif /* ENX_CLI_CLI_STREAM_H */
