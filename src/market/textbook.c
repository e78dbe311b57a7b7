/* SPDX-License-Identifier: Apache-2.0 */
/* textbook.c - one formula a market.
 *
 * Sutton's: n firms that buy quality have N + 1 / N - 2 = beta / 2 and pay F = S / N^2 for it; with
 * a tie in hand, floor() counts the firm that just breaks even.
 */
#include "market/textbook.h"

#include "base/check.h"
#include "market/buy.h"

#include <math.h>

#define USD_MAX 1e18

/* clang-format off */
const enx_textbook enx_textbooks[ENX_TEXTBOOKS_COUNT] = {
    [ENX_TEXTBOOK_COURNOT] = { "cournot", "quantities, price a - b * quantity",
        { { "a", "USD at no quantity", 0, USD_MAX }, { "b", "USD a unit", 1e-12, USD_MAX },
          { "c", "USD a unit of cost", 0, USD_MAX }, { "n", "firms", 1, 1e9 } },
        { "q", "P", "pi" } },
    [ENX_TEXTBOOK_ENTRY] = { "entry", "quantities, and as many firms as pay a fixed cost",
        { { "a", "USD at no quantity", 0, USD_MAX }, { "b", "USD a unit", 1e-12, USD_MAX },
          { "c", "USD a unit of cost", 0, USD_MAX }, { "F", "USD", 1e-12, USD_MAX } },
        { "n" } },
    [ENX_TEXTBOOK_SALOP] = { "salop", "prices, buyers on a circle, free entry",
        { { "t", "USD a round of distance", 1e-12, USD_MAX }, { "L", "buyers", 1e-12, USD_MAX },
          { "F", "USD", 1e-12, USD_MAX } },
        { "n", "markup", "n_social" } },
    [ENX_TEXTBOOK_SUTTON] = { "sutton", "quality is bought before quantities, free entry",
        { { "beta", "elasticity of spend in quality", 1e-9, 1e9 }, { "S", "USD", 1e-12, USD_MAX } },
        { "N", "F" } },
    [ENX_TEXTBOOK_ANNUITY] = { "annuity", "a sum spread over years and units",
        { { "F", "USD", 0, USD_MAX }, { "life", "years", 0.01, 1000 }, { "r", "a year", 0, 10 },
          { "Q", "units a year", 1e-12, 1e30 }, { "c", "USD a unit", 0, USD_MAX } },
        { "crf", "usd_a_unit" } },
    [ENX_TEXTBOOK_COMPUTE] = { "compute", "6 N D to train, 2 N a token to serve",
        { { "D", "tokens of training", 0, 1e30 } }, { "T" } },
    [ENX_TEXTBOOK_LEARNING] = { "learning", "cost falls by a part with each doubling",
        { { "lr", "part a doubling", 0, 0.999 }, { "doublings", "", 0, 1000 } }, { "b", "ratio" } },
    [ENX_TEXTBOOK_HAZARD] = { "hazard", "a law that stops at a constant hazard",
        { { "S", "chance to hold for T years", 1e-6, 1 }, { "T", "years", 0.01, 1000 } },
        { "hazard" } },
};
/* clang-format on */

static enx_status check_given(const enx_textbook *book, const double *given, enx_report *report)
{
    for (int i = 0; i < ENX_TEXTBOOK_KEYS_MAX && book->keys[i].name; i++) {
        const enx_textbook_key *k = &book->keys[i];
        if (!(given[i] >= k->low && given[i] <= k->high))
            return ENX_FAIL(report, INVALID, "%s: %g is not from %g to %g %s", k->name, given[i],
                            k->low, k->high, k->unit);
    }
    return ENX_OK;
}

/* Of firms that just break even the last one counts, in spite of rounding. */
static double whole_firms(double n) { return floor(n * (1 + 1e-12) + 1e-12); }

static enx_status solve_cournot(double *out, const double *in, bool is_entry, enx_report *report)
{
    const double a = in[0], b = in[1], c = in[2];
    if (!(a > c))
        return ENX_FAIL(report, INVALID, "a: %g USD is not above c, %g: nobody buys at cost", a, c);
    if (is_entry) {
        out[0] = fmax(0, whole_firms((a - c) / sqrt(b * in[3]) - 1));
        return ENX_OK;
    }
    out[0] = (a - c) / (b * (in[3] + 1));
    out[1] = (a + in[3] * c) / (in[3] + 1);
    out[2] = b * out[0] * out[0];
    return ENX_OK;
}

enx_status enx_textbook_solve(double values[ENX_TEXTBOOK_VALUES_MAX], enx_textbook_id id,
                              const double *in, enx_report *report)
{
    ENX_CHECK(values && in && id < ENX_TEXTBOOKS_COUNT);
    double out[ENX_TEXTBOOK_VALUES_MAX] = { 0 };
    ENX_TRY(check_given(&enx_textbooks[id], in, report));
    switch (id) {
    case ENX_TEXTBOOK_COURNOT:
    case ENX_TEXTBOOK_ENTRY:
        ENX_TRY(solve_cournot(out, in, id == ENX_TEXTBOOK_ENTRY, report));
        break;
    case ENX_TEXTBOOK_SALOP:
        out[0] = whole_firms(sqrt(in[0] * in[1] / in[2]));
        out[1] = in[0] / out[0];
        out[2] = whole_firms(sqrt(in[0] * in[1] / in[2]) / 2);
        break;
    case ENX_TEXTBOOK_SUTTON: {
        const double half = 1 + in[0] / 4;
        out[0] = half + sqrt(half * half - 1);
        out[1] = in[1] / (out[0] * out[0]);
        break;
    }
    case ENX_TEXTBOOK_ANNUITY:
        out[0] = enx_buy_annuity(in[2], in[1]);
        out[1] = in[0] * out[0] / in[3] + in[4];
        break;
    case ENX_TEXTBOOK_COMPUTE:
        out[0] = 3 * in[0];
        break;
    case ENX_TEXTBOOK_LEARNING:
        out[0] = -log2(1 - in[0]);
        out[1] = exp2(-out[0] * in[1]);
        break;
    default:
        out[0] = -expm1(log(in[0]) / in[1]);
    }
    for (int i = 0; i < ENX_TEXTBOOK_VALUES_MAX; i++) values[i] = out[i];
    return ENX_OK;
}
