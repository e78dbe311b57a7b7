/* SPDX-License-Identifier: Apache-2.0 */
/* cli_author_api.h - an author behind an API: a request for each answer, which comes as a stream.
 *
 * Requests leave as the provider's rates allow, and are tried again only where that costs nothing
 * (backend/remote.h).  Each is reserved and charged by cli_asked.h; what was broken off is unknown
 * there.
 *
 * Layer: cli.  Thread-safety: as of cli_author.h.
 */
#ifndef ENX_CLI_CLI_AUTHOR_API_H
#define ENX_CLI_CLI_AUTHOR_API_H

#include "cli/cli_asked.h"
#include "cli/cli_author.h"
#include "cli/cli_sampling.h"

typedef struct cli_author_api_options {
    cli_asked          *asked;      /* borrowed until close */
    uint32_t            model;      /* its number there */
    const cli_sampling *sampling;   /* borrowed until close */
    uint32_t            max_tokens; /* of an answer, without thoughts */
} cli_author_api_options;

/* ENX_INVALID names what of the sampling no API takes; ENX_NOMEM. */
ENX_MUST_USE enx_status cli_author_api_open(cli_author **out, const cli_author_api_options *options,
                                            enx_report *report);

#endif /* ENX_CLI_CLI_AUTHOR_API_H */
