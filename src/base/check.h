/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - assertions that ship.
 *
 * ENX_CHECK states what the programmer promised; it stays on in release builds,
 * prints the broken promise and aborts.  Bad input is never a programmer error:
 * it returns an enx_status.
 *
 * Layer: base.  Thread-safety: no shared state.
 */
#ifndef ENX_BASE_CHECK_H
#define ENX_BASE_CHECK_H

_Noreturn void enx_check_failed(const char *text, const char *file, int line);

#define ENX_CHECK(condition) \
    ((condition) ? (void)0 : enx_check_failed(#condition, __FILE__, __LINE__))

#endif /* ENX_BASE_CHECK_H */
