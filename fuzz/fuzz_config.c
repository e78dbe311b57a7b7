/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_config.c - whatever is accepted as a swarm's file keeps within its bounds: prices, caps and
 * counts are such that no sum over them is undefined. */
#include "backend/config.h"
#include "base/check.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { USD_NANO_MAX = 1000000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_model(const enx_config *config, const enx_config_model *model)
{
    if (!enx_config_has(model)) return;
    ENX_CHECK(!model->model || !model->remote);
    const enx_price price = enx_config_price(config, model, 1000);
    ENX_CHECK(!model->remote || (model->usd_per_mtok_in && model->usd_per_mtok_out));
    ENX_CHECK(!model->remote || price.cached <= price.in);
}

static void check_config(const enx_config *config)
{
    ENX_CHECK(config->worker_count <= ENX_ROSTER_MODELS_MAX - 2);
    ENX_CHECK(config->allowance_count <= ENX_ALLOWANCES_MAX);
    for (uint32_t i = 0; i < config->allowance_count; i++)
        ENX_CHECK(config->allowances[i].caps.usd_nano / USD_NANO_MAX <= USD_NANO_MAX);
    for (int i = 1; i < ENX_CONFIG_LEVELS; i++)
        ENX_CHECK(config->escalate_above[i] >= 0 && config->escalate_above[i] <= 1);
    check_model(config, &config->lead);
    check_model(config, &config->scout);
    check_model(config, &config->verifier);
    for (unsigned i = 0; i < config->worker_count; i++) check_model(config, &config->workers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char        path[32];
    enx_config *config = NULL;
    const int   fd = memfd_create("swarm.yaml", MFD_CLOEXEC);
    ENX_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (enx_config_open(&config, path, NULL) == ENX_OK) check_config(config);
    enx_config_close(&config);
    close(fd);
    return 0;
}
