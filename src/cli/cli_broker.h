/* SPDX-License-Identifier: Apache-2.0 */
/* cli_broker.h - options that say where a broker is and who asks it.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_BROKER_H
#define ENX_CLI_CLI_BROKER_H

#include "backend/broker.h"
#include "cli/cli.h"

typedef struct cli_broker {
    const char *url, *swarm, *user, *password; /* the password's is a variable's name */
    const char *nkey, *credentials, *tls_ca, *tls_cert, *tls_key;
    double      lease_s;
} cli_broker;

/* clang-format off */
#define CLI_BROKER_OPTIONS(b) \
    { "swarm-name", '\0', CLI_TEXT, (void *)&(b).swarm, "NAME", \
      "of the swarm, where a broker has several (default: " ENX_BROKER_SWARM ")" }, \
    { "user", '\0', CLI_TEXT, (void *)&(b).user, "NAME", "whom the broker knows" }, \
    { "password", '\0', CLI_TEXT, (void *)&(b).password, "VARIABLE", \
      "environment variable with the password" }, \
    { "nkey", '\0', CLI_TEXT, (void *)&(b).nkey, "FILE", \
      "seed of the nkey that --user names (instead of a password)" }, \
    { "credentials", '\0', CLI_TEXT, (void *)&(b).credentials, "FILE", "JWT and nkey seed" }, \
    { "tls-ca", '\0', CLI_TEXT, (void *)&(b).tls_ca, "FILE", "who signed the broker's key" }, \
    { "tls-cert", '\0', CLI_TEXT, (void *)&(b).tls_cert, "FILE", "our own certificate" }, \
    { "tls-key", '\0', CLI_TEXT, (void *)&(b).tls_key, "FILE", "... and its key" }
/* clang-format on */

/* Connect.  ENX_INVALID: no URL, half a pair; ENX_NOTFOUND: the variable; else of
 * enx_broker_open. */
ENX_MUST_USE enx_status cli_broker_open(enx_broker **out, const cli_broker *options,
                                        enx_report *report);

#endif /* ENX_CLI_CLI_BROKER_H */
