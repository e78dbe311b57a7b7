/* SPDX-License-Identifier: Apache-2.0 */
/* cli_broker.c - a broker as the command line names it. */
#include "cli/cli_broker.h"

enx_status cli_broker_open(enx_broker **out, const cli_broker *o, enx_report *report)
{
    enx_broker_options options = { .url = o->url,
                                   .swarm = o->swarm ? o->swarm : ENX_BROKER_SWARM,
                                   .user = o->user,
                                   .nkey = o->nkey,
                                   .credentials = o->credentials,
                                   .tls_ca = o->tls_ca,
                                   .tls_cert = o->tls_cert,
                                   .tls_key = o->tls_key,
                                   .lease_us = (uint64_t)(o->lease_s * 1e6) };
    if (!o->url)
        return ENX_FAIL(report, INVALID, "--join: where is the broker, as nats://host:4222");
    if ((o->user != NULL) != (o->password || o->nkey))
        return ENX_FAIL(report, INVALID, "--user goes with --password or --nkey, and they with it");
    if (!o->tls_cert != !o->tls_key)
        return ENX_FAIL(report, INVALID, "--tls-cert and --tls-key go together");
    if (o->lease_s != 0 && !(o->lease_s >= 1 && o->lease_s <= 3600))
        return ENX_FAIL(report, INVALID, "--lease %g: from 1 to 3600 seconds", o->lease_s);
    if (o->password) options.password = cli_secret(o->password);
    if (o->password && !options.password)
        return ENX_FAIL(report, NOTFOUND, "--password: the environment has no %s", o->password);
    return enx_broker_open(out, &options, report);
}
