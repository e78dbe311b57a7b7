/* SPDX-License-Identifier: Apache-2.0 */
/* judging.h - the checks of a class that are functions of the answer, ready to be made.
 *
 *     enx_judge_open(&judge, &task_class, report);          // expressions, patterns, grammar: once
 *     enx_judge_passes(judge, check, input, answer, reason, sizeof reason);
 *
 * schema    the answer is what the class's JSON Schema describes, in its one form (text/canon.h)
 * citation  every text or number under the field stands in the input, white space aside; without a
 *           field the whole answer does
 * regex     the value of the field, as text, is matched as a whole
 * compute   the expression is true (expression.h)
 *
 * A field is a path of names, as `total` or `author.name`; a list on the way stands for each of its
 * elements.  A field that is missing or null cites nothing, is of no pattern, and is not compared
 * with others.
 *
 * Layer: check.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_CHECK_JUDGING_H
#define ENX_CHECK_JUDGING_H

#include "base/span.h"
#include "base/status.h"
#include "swarm/class.h"

#include <stdbool.h>

enum {
    ENX_JUDGE_VALUES_MAX = 4096, /* under one field of one answer */
    ENX_JUDGE_MATCH_STEPS_MAX = 1000000,
};

typedef struct enx_judge enx_judge;

/* `task_class` is borrowed until close.  The failures of what it compiles, with the check's kind.
 */
ENX_MUST_USE enx_status enx_judge_open(enx_judge **out, const enx_class *task_class,
                                       enx_report *report);
void                    enx_judge_close(enx_judge **judge);
const enx_class        *enx_judge_class(const enx_judge *judge);

/* `check` is one of the class, of a kind above.  On false a sentence is written to `reason`. */
bool enx_judge_passes(enx_judge *judge, const enx_check *check, enx_span input, enx_span answer,
                      char *reason, size_t reason_bytes);

/* unique, equal, sum over all answers of a class: is_bad [count] is set where one breaks it, and
 * never cleared.  Of values that must be equal, those that differ from the most frequent one are
 * bad; of values that are not unique, all but the first; of a wrong sum, all. */
void enx_judge_relate(const enx_check *check, const enx_span *answers, uint32_t count,
                      bool *is_bad);

#endif /* ENX_CHECK_JUDGING_H */
