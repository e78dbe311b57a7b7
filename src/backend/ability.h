/* SPDX-License-Identifier: Apache-2.0 */
/* ability.h - small tasks of rising difficulty, for any model that continues text.
 *
 * A question is a text and four ways to go on, all of one length in bytes, of which the first is
 * right.  The model's answer is the one that it gives the highest probability; guessing gets a
 * quarter.  So models of any tokenizer and size can be compared, also those that cannot follow an
 * instruction.
 *
 *   next_word   the next word of a text, after 2, 8 or 24 words of it; the others are words of the
 *               same text
 *   brackets    which bracket closes, with 1, 2 or 4 open
 *   copying     a made-up word of 3, 6 or 12 letters again, after two times
 *   arithmetic  the sum of two numbers of 1, 2 or 3 digits, after two examples
 *
 * Question number i of a task and level is a pure function of these and of the text.
 *
 * Layer: backend.  Thread-safety: one owner thread; it may bring a pool.
 */
#ifndef ENX_BACKEND_ABILITY_H
#define ENX_BACKEND_ABILITY_H

#include "backend/loaded.h"
#include "base/status.h"
#include "plat/pool.h"

#include <stdint.h>

enum {
    ENX_ABILITY_LEVELS = 3,
    ENX_ABILITY_OPTIONS = 4,
    ENX_ABILITY_TEXT_BYTES_MAX = 512,
    ENX_ABILITY_OPTION_BYTES_MAX = 64,
    ENX_ABILITY_QUESTIONS_MAX = 10000,
};

typedef enum enx_ability_task {
    ENX_ABILITY_NEXT_WORD,
    ENX_ABILITY_BRACKETS,
    ENX_ABILITY_COPYING,
    ENX_ABILITY_ARITHMETIC,
    ENX_ABILITY_TASKS
} enx_ability_task;

extern const char *const enx_ability_names[ENX_ABILITY_TASKS];

typedef struct enx_question {
    char text[ENX_ABILITY_TEXT_BYTES_MAX];
    char options[ENX_ABILITY_OPTIONS][ENX_ABILITY_OPTION_BYTES_MAX];
} enx_question;

typedef struct enx_ability_options {
    uint32_t    questions; /* of each task and level; at most ENX_ABILITY_QUESTIONS_MAX */
    const char *words;     /* text for next_word; NULL: the task is left out */
    size_t      words_bytes;
    enx_pool   *pool; /* borrowed, may be NULL */
    const char *cpu;  /* cap on the kernels (engine.h) */
} enx_ability_options;

typedef struct enx_ability {
    uint32_t asked[ENX_ABILITY_TASKS][ENX_ABILITY_LEVELS];
    uint32_t right[ENX_ABILITY_TASKS][ENX_ABILITY_LEVELS];
} enx_ability;

/* Level is 0, 1 or 2.  ENX_INVALID: the words are too few or too much alike. */
ENX_MUST_USE enx_status enx_ability_question(enx_question *out, enx_ability_task task, int level,
                                             uint32_t number, const enx_ability_options *options,
                                             enx_report *report);

/* Ask all; `loaded` is borrowed.  Questions longer than the model's context are not asked. */
ENX_MUST_USE enx_status enx_ability_run(enx_ability *out, const enx_loaded *loaded,
                                        const enx_ability_options *options, enx_report *report);

#endif /* ENX_BACKEND_ABILITY_H */
