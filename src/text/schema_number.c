/* SPDX-License-Identifier: Apache-2.0 */
/* schema_number.c - the decimal numbers between two bounds, as rules.
 *
 * A number is its digits in units of 10^-decimals, written from the left; with n digits to come,
 * what may follow depends on
 *     whether the digits so far are those of the least, of the most, or of neither (then all may
 *     follow),
 *     and their remainder by the multiple.
 * One rule for each of these states; a state from which nothing is a number has none.  The point
 * stands before the last `decimals` digits, and digits behind it may be left out when they are 0.
 * A multiple's zeros at the end are required as digits, which keeps remainders few.
 */
#include "base/check.h"
#include "text/schema_impl.h"

#include <inttypes.h>
#include <string.h>

enum { NO_RULE = -1, UNKNOWN = -2 };

typedef struct counter {
    enx_schema_writer *w;
    unsigned           decimals;
    unsigned           zeros; /* of the multiple, at the end of every number */
    uint32_t           multiple;
    int                least[ENX_SCHEMA_DIGITS_MAX], most[ENX_SCHEMA_DIGITS_MAX]; /* by digits to
                                                                                     come after */
    int                free_rules[ENX_SCHEMA_DIGITS_MAX + 1][ENX_SCHEMA_MULTIPLE_MAX];
} counter;

typedef struct place {
    unsigned left; /* digits to come */
    bool     is_least, is_most;
    uint32_t remainder;
} place;

static uint64_t power_of_ten(unsigned exponent)
{
    uint64_t power = 1;
    while (exponent--) power *= 10;
    return power;
}

/* Is it a number if all digits to come are 0? */
static bool may_end(const counter *c, const place *p)
{
    uint32_t remainder = p->remainder;
    for (unsigned left = p->left; left > 0; left--) {
        if (p->is_least && c->least[left - 1] > 0) return false;
        if (left > c->zeros) remainder = remainder * 10 % c->multiple;
    }
    return remainder == 0;
}

static enx_status rule_of_place(counter *c, const place *p, int *rule);

/* Append the digits that may come here and what follows each, as alternatives. */
static enx_status add_digits(counter *c, const place *p, enx_buf *body, bool *is_possible)
{
    const unsigned at = p->left - 1;
    const int      first = p->is_least ? c->least[at] : 0, last = p->is_most ? c->most[at] : 9;
    for (int digit = first; digit <= last; digit++) {
        if (p->left <= c->zeros && digit != 0) break;
        const uint32_t remainder = p->left <= c->zeros
                                       ? p->remainder
                                       : (p->remainder * 10 + (uint32_t)digit) % c->multiple;
        const place    next = { .left = at,
                                .is_least = p->is_least && digit == first,
                                .is_most = p->is_most && digit == last,
                                .remainder = remainder };
        int            rule;
        ENX_TRY(rule_of_place(c, &next, &rule));
        if (rule == NO_RULE) continue;
        ENX_TRY(enx_buf_printf(body, "%s\"%d\" r%d", *is_possible ? " | " : "", digit, rule));
        *is_possible = true;
    }
    return ENX_OK;
}

static enx_status write_place(counter *c, const place *p, int *rule)
{
    const bool is_point = p->left > 0 && p->left == c->decimals;
    const bool can_end = p->left <= c->decimals && may_end(c, p);
    bool       is_possible = false;
    enx_buf    body;
    enx_buf_init(&body, c->w->out->max_bytes);
    enx_status status = ENX_OK;
    if (is_point) status = enx_buf_append_text(&body, "\".\" (");
    if (status == ENX_OK && p->left > 0) status = add_digits(c, p, &body, &is_possible);
    if (is_point && status == ENX_OK) status = enx_buf_append_text(&body, ")");
    *rule = NO_RULE;
    if (status == ENX_OK && (is_possible || can_end)) {
        *rule = (int)c->w->rule_count++;
        status = enx_buf_printf(c->w->out, "r%d ::= %s%s\n", *rule,
                                is_possible ? enx_buf_text(&body) : "\"\"",
                                is_possible && can_end ? " | \"\"" : "");
    }
    enx_buf_deinit(&body);
    return status;
}

static enx_status rule_of_place(counter *c, const place *p, int *rule)
{
    if (p->is_least || p->is_most) return write_place(c, p, rule);
    int *kept = &c->free_rules[p->left][p->remainder];
    if (*kept == UNKNOWN) ENX_TRY(write_place(c, p, kept));
    *rule = *kept;
    return ENX_OK;
}

static void spell(int digits[ENX_SCHEMA_DIGITS_MAX], uint64_t number)
{
    for (unsigned i = 0; i < ENX_SCHEMA_DIGITS_MAX; i++, number /= 10)
        digits[i] = (int)(number % 10);
}

/* Numbers of one sign: least..most, both positive or 0, grouped by how many digits they have. */
static enx_status add_side(counter *c, uint64_t least, uint64_t most, const char *sign,
                           enx_buf *body, bool *is_possible)
{
    for (unsigned count = c->decimals + 1; count <= ENX_SCHEMA_DIGITS_MAX; count++) {
        const uint64_t shortest = count == c->decimals + 1 ? 0 : power_of_ten(count - 1);
        const uint64_t low = least > shortest ? least : shortest;
        const uint64_t high = most < power_of_ten(count) - 1 ? most : power_of_ten(count) - 1;
        if (low > high) continue;
        spell(c->least, low);
        spell(c->most, high);
        const place start = { .left = count, .is_least = true, .is_most = true };
        enx_buf     digits;
        bool        is_any = false;
        enx_buf_init(&digits, c->w->out->max_bytes);
        enx_status status = add_digits(c, &start, &digits, &is_any);
        if (status == ENX_OK && is_any)
            status = enx_buf_printf(body, "%s%s(%s)", *is_possible ? " | " : "", sign,
                                    enx_buf_text(&digits));
        *is_possible = *is_possible || is_any;
        enx_buf_deinit(&digits);
        ENX_TRY(status);
    }
    return ENX_OK;
}

enx_status enx_schema_add_range(enx_schema_writer *w, const enx_schema_range *range, enx_buf *body)
{
    counter  c = { .w = w, .decimals = range->decimals };
    uint64_t multiple = range->multiple;
    ENX_CHECK(multiple > 0 && range->decimals < ENX_SCHEMA_DIGITS_MAX);
    for (; multiple % 10 == 0 && c.zeros < ENX_SCHEMA_DIGITS_MAX; multiple /= 10) c.zeros++;
    if (multiple > ENX_SCHEMA_MULTIPLE_MAX)
        return SCHEMA_FAIL(w, UNSUPPORTED,
                           "multipleOf can be at most %d, times a power of ten, in units of 10^-%u",
                           ENX_SCHEMA_MULTIPLE_MAX, c.decimals);
    c.multiple = (uint32_t)multiple;
    for (unsigned i = 0; i <= ENX_SCHEMA_DIGITS_MAX; i++)
        for (unsigned k = 0; k < ENX_SCHEMA_MULTIPLE_MAX; k++) c.free_rules[i][k] = UNKNOWN;
    const int64_t ends = (int64_t)power_of_ten(ENX_SCHEMA_DIGITS_MAX) - 1;
    const int64_t least = range->least < -ends ? -ends : range->least;
    const int64_t most = range->most > ends ? ends : range->most;
    bool          is_possible = false;
    ENX_TRY(enx_buf_append_text(body, "("));
    if (most >= 0)
        ENX_TRY(
            add_side(&c, least > 0 ? (uint64_t)least : 0, (uint64_t)most, "", body, &is_possible));
    if (least < 0)
        ENX_TRY(add_side(&c, most < 0 ? (uint64_t)-most : 1, (uint64_t)-least, "\"-\" ", body,
                         &is_possible));
    if (!is_possible)
        return SCHEMA_FAIL(w, INVALID, "no number of at most %d digits lies between these bounds",
                           ENX_SCHEMA_DIGITS_MAX);
    return enx_buf_append_text(body, ")");
}
