/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_prices.c - any bytes are a price table or an error; what is a table has sound rows, in
 * order, each of which is found by its name. */
#include "backend/prices.h"

#include "base/check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LOOKED_UP = 16 };

static void check_row(const enx_prices *prices, size_t i)
{
    const enx_price_row *row = &prices->rows[i], *found = NULL;
    char                 name[2 * ENX_PRICES_NAME_MAX + 2];
    snprintf(name, sizeof name, "%s/%s", row->provider, row->model);
    ENX_CHECK(row->in >= 0 && row->in <= ENX_PRICES_USD_MAX && row->cached >= 0 && row->out >= 0);
    if (i > 0) ENX_CHECK(strcmp(prices->rows[i - 1].provider, row->provider) <= 0);
    const enx_status status = enx_prices_find(&found, prices, name, "9999-12-31", NULL);
    ENX_CHECK(status == ENX_OK || status == ENX_INVALID); /* a model may be named "other/model" */
    if (status == ENX_OK) ENX_CHECK(found->in >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enx_prices *prices = NULL;
    if (enx_prices_open(&prices, (const char *)data, size, "fuzz", NULL) != ENX_OK) return 0;
    ENX_CHECK(prices->row_count > 0 && strlen(prices->date) == 10);
    for (size_t i = 0; i < prices->row_count && i < LOOKED_UP; i++) check_row(prices, i);
    enx_prices_close(&prices);
    return 0;
}
