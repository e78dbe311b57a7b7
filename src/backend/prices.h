/* SPDX-License-Identifier: Apache-2.0 */
/* prices.h - a dated table of what models cost by API.
 *
 *     # enxame prices, version 1
 *     # date: 2026-08-21
 *     # source: where it is from
 *     provider,model,from,usd_per_mtok_in,usd_per_mtok_cached,usd_per_mtok_out,tiered
 *     openai,gpt-4o,,2.5,1.25,10,
 *
 * `from`: the first day of a price, empty for the oldest known; a model has a row a price.  Without
 * a price for cached tokens they cost what others do.  `tiered`: yes where long contexts cost more.
 *
 * Layer: backend.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_BACKEND_PRICES_H
#define ENX_BACKEND_PRICES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ENX_PRICES_BYTES_MAX = 4 << 20,
    ENX_PRICES_ROWS_MAX = 20000,
    ENX_PRICES_NAME_MAX = 255, /* bytes of a provider or a model */
};

#define ENX_PRICES_USD_MAX 1e6 /* a million tokens */

/* USD a million tokens. */
typedef struct enx_price_row {
    const char *provider, *model;
    const char *from; /* YYYY-MM-DD or "" */
    double      in, cached, out;
    bool        is_tiered;
} enx_price_row;

typedef struct enx_prices {
    const enx_price_row *rows; /* [row_count], by provider, model and day */
    size_t               row_count;
    const char          *date;   /* YYYY-MM-DD: rows from later days are announced ones */
    const char          *source; /* as the file says */
    void                *memory; /* private */
} enx_prices;

/* The table that the program was built with. */
extern const char enx_prices_builtin[];

/* `text` is copied; `path` is for messages.  ENX_FORMAT: line, field and range; ENX_LIMIT;
 * ENX_NOMEM. */
ENX_MUST_USE enx_status enx_prices_open(enx_prices **out, const char *text, size_t size_bytes,
                                        const char *path, enx_report *report);
void                    enx_prices_close(enx_prices **prices);

/* The row of `name`, "provider/model" or else a model's name alone, on a day: the last one that is
 * from then or before, or the first.  `day`: YYYY-MM-DD, or NULL for the table's date.  Borrowed.
 * ENX_NOTFOUND, with the nearest name; ENX_INVALID: providers ask different prices for that model,
 * and the message names two. */
ENX_MUST_USE enx_status enx_prices_find(const enx_price_row **out, const enx_prices *prices,
                                        const char *name, const char *day, enx_report *report);

#endif /* ENX_BACKEND_PRICES_H */
