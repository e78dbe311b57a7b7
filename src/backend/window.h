/* SPDX-License-Identifier: Apache-2.0 */
/* window.h - long texts in pieces that a small model can hold.
 *
 *     text   ............................................................
 *     window        [ overlap |          core           | look-ahead ]
 *                   first     core                 core_end          end
 *
 * Cores follow each other without gap.  The overlap's answer is known from the window before and
 * is given to the model; the look-ahead's answer is dropped.  Cuts are at ends of words, not
 * before a mark; inside a word only where no word ends within reach.
 *
 * Layer: backend.  Thread-safety: no shared state.
 */
#ifndef ENX_BACKEND_WINDOW_H
#define ENX_BACKEND_WINDOW_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ENX_WINDOW_OVERLAP_BYTES = 60,
    ENX_WINDOW_AHEAD_BYTES = 40,
    ENX_WINDOW_BYTES = 400,    /* default size of a whole window */
    ENX_WINDOW_BYTES_MIN = 24, /* smaller ones are not made */
};

typedef struct enx_window {
    size_t first, core, core_end, end;
} enx_window;

/* The window whose core begins at `core`, of about window_bytes; the whole rest when it fits.
 * `floor` is where the window before began: overlap never reaches before it. */
enx_window enx_window_at(const char *text, size_t size_bytes, size_t core, size_t floor,
                         size_t window_bytes);

/* Where the answer to text[0..cut) ends in the answer to a longer text: the last place in
 * answer[0..answer_bytes) whose beginning, without `kinds`, has as many bytes as text[0..cut) has,
 * at ends of words where `cut` is one.  ENX_FORMAT: no such place; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_window_align(size_t *out, const char *text, size_t size_bytes,
                                         size_t cut, const char *answer, size_t answer_bytes,
                                         unsigned kinds, enx_report *report);

#endif /* ENX_BACKEND_WINDOW_H */
