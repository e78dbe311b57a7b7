/* SPDX-License-Identifier: Apache-2.0 */
/* answer_check.h - a program decides whether an answer is right.
 *
 * The answer is on the program's standard input, as it is; exit code 0 accepts it.  Whatever else
 * happens refuses it: another code, a signal, a limit, a program that does not compile.  The reason
 * is the last line that the program printed (standard error first), with how it ended when it
 * printed none:
 *
 *     import json, sys
 *     a = json.load(sys.stdin)
 *     if a["net"] + a["tax"] != a["total"]: sys.exit("net and tax are not the total")
 *
 * Layer: sandbox.  Thread-safety: no shared state.
 */
#ifndef ENX_SANDBOX_ANSWER_CHECK_H
#define ENX_SANDBOX_ANSWER_CHECK_H

#include "sandbox/language.h"

/* 5 s, 256 MiB, 16 processes, 64 KiB of output. */
enx_sandbox_limits enx_answer_check_limits(void);

/* *passes, and where it does not a sentence into reason[reason_bytes], cut; "" where it does.
 * `program` in any language but sql, which reads no input.  Errors are those of enx_program_run:
 * none of them is the answer's fault, and *passes is not written. */
ENX_MUST_USE enx_status enx_answer_check(const enx_sandbox *sandbox, const enx_program *program,
                                         const enx_sandbox_limits *limits, const char *answer,
                                         size_t answer_bytes, bool *passes, char *reason,
                                         size_t reason_bytes, enx_report *report);

#endif /* ENX_SANDBOX_ANSWER_CHECK_H */
