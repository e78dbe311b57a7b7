/* SPDX-License-Identifier: Apache-2.0 */
/* expression.h - a condition on an answer, in a small language that always ends.
 *
 *     weekday == weekday(year, month, day)
 *     not begins(version, '0') and total == sum(lines)
 *     ends(before(input, ':'), '-dev') == (section == 'libdevel')
 *
 *   or, and, not            of true and false, which null and '' and 0 are not
 *   == != < <= > >= in      numbers by value, texts by bytes; of two kinds nothing but != holds;
 *                           x in list, or text in text
 *   + - * / %  and unary -  of numbers; + also of texts
 *   123  1.5  'text'  true false null   ('' in a text is one quotation mark)
 *   name  name.name  name[0]            members of the answer; null where there are none
 *   input                               what the task was given, as text; `answer` the whole answer
 *
 *   len(x) number(text) text(x) lower(text) abs(n) round(n) min(a, b) max(a, b) sum(list)
 *   begins(text, start) ends(text, end) before(text, mark) after(text, mark)
 *   weekday(year, month, day): 'Mon' to 'Sun', null for a day that there is not
 *
 * No loops, no names but these: an expression of n nodes takes n steps, each bounded by the size of
 * its values.
 *
 * Layer: check.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_CHECK_EXPRESSION_H
#define ENX_CHECK_EXPRESSION_H

#include "base/span.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>

enum {
    ENX_EXPRESSION_BYTES_MAX = 4096,
    ENX_EXPRESSION_NODES_MAX = 256,
    ENX_EXPRESSION_DEPTH_MAX = 32,
    ENX_EXPRESSION_ARGUMENTS_MAX = 3,
};

typedef struct enx_expression enx_expression;

/* ENX_FORMAT names the byte and what was expected; ENX_NOTFOUND a function that there is not;
 * ENX_LIMIT; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_expression_open(enx_expression **out, const char *text,
                                            enx_report *report);
void                    enx_expression_close(enx_expression **expression);

/* Does it hold for `answer` (borrowed), made from `input`?  ENX_INVALID: an operation on values
 * that have none, as 'a' - 1; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_expression_holds(const enx_expression *expression, const json_t *answer,
                                             enx_span input, bool *holds, enx_report *report);

#endif /* ENX_CHECK_EXPRESSION_H */
