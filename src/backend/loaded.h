/* SPDX-License-Identifier: Apache-2.0 */
/* loaded.h - one model file, open and ready: weights, tokenizer, and how it wants to be asked.
 *
 * A model says itself what it can do, by metadata:
 *
 *   enxame.prompt.<what>          template of the prompt for tasks of class <what>.  Text of the
 *                                 template may name control tokens; fields are
 *       {text}                    the task's text, never parsed for control tokens
 *       {draft}                   the text as the lexicon of its language spells it; the text, if
 *                                 there is none
 *       {language}                <|tag|> where the vocabulary has it, else nothing
 *       {level}                   <|L1|> .. <|L3|>, nothing when unknown
 *       {more} {cut}              <|more|>, <|cut|> when text was left out before, after
 *   enxame.restore.window_bytes   longer texts are repaired in windows of about so many bytes
 *   enxame.lexicon.<language>     u8s, a saved lexicon (text/lexicon.h); where there is only one
 *                                 it serves texts of unknown language too
 *   enxame.scout.languages        the tags that its answers may hold
 *   enxame.calibration.<what>[.<level>]   f32s; error chance = 1 / (1 + exp(-(c . features))) over
 *                                 1, sum of logprobs, least logprob, log(1 + tokens)
 *   enxame.train.cpu_seconds      what it took to make it
 *
 * Layer: backend.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_BACKEND_LOADED_H
#define ENX_BACKEND_LOADED_H

#include "base/buf.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "model/model_file.h"
#include "text/lexicon.h"
#include "text/mask.h"
#include "text/tokenizer.h"

#include <stdint.h>

enum {
    ENX_PROMPT_TEMPLATE_BYTES_MAX = 4096,
    ENX_CALIBRATION_FEATURES = 4,
    ENX_LOADED_LEXICONS_MAX = 64,
};

typedef struct enx_loaded_lexicon {
    enx_gguf_str language; /* borrowed from the file */
    enx_lexicon *lexicon;
} enx_loaded_lexicon;

typedef struct enx_loaded {
    enx_model_file file;
    enx_gguf      *gguf; /* of `file` */
    enx_model     *model;
    enx_tokenizer *tokenizer;
    enx_trie      *trie;

    enx_loaded_lexicon lexicons[ENX_LOADED_LEXICONS_MAX];
    unsigned           lexicon_count;
} enx_loaded;

/* Map and open the file at `path`, and its further parts.  The zero value is safe to close.  Texts
 * name the path. */
ENX_MUST_USE enx_status enx_loaded_open(enx_loaded *out, const char *path, enx_report *report);
void                    enx_loaded_close(enx_loaded *loaded);

typedef struct enx_prompt_fields {
    const char *text; /* [text_bytes] */
    size_t      text_bytes;
    const char *language; /* "" or NULL: unknown */
    int32_t     level;    /* outside 1..3: unknown */
    unsigned    kinds;    /* ENX_DAMAGE_KIND_* that a draft may repair */
    bool        is_more;
    bool        is_cut;
} enx_prompt_fields;

bool enx_loaded_can(const enx_loaded *loaded, const char *what);

/* Append the prompt for a task of class `what`.  ENX_UNSUPPORTED: the model has no template for
 * it, or the template has a field that is not one of the above; ENX_LIMIT: `out` is full. */
ENX_MUST_USE enx_status enx_loaded_prompt(const enx_loaded *loaded, const char *what,
                                          const enx_prompt_fields *fields, enx_tokens *out,
                                          enx_report *report);

/* The chance that an answer is wrong.  Without calibration: 1 - exp(sum_logprob).  `level` outside
 * 1..3: the calibration without level. */
double enx_loaded_error_chance(const enx_loaded *loaded, const char *what, int32_t level,
                               double sum_logprob, double min_logprob, uint32_t token_count);

/* Append the raw bytes of tokens; control tokens are left out. */
ENX_MUST_USE enx_status enx_loaded_decode(const enx_loaded *loaded, const uint32_t *tokens,
                                          size_t count, enx_buf *out);

/* The first byte that is not valid UTF-8, or size_bytes when all are. */
size_t enx_utf8_invalid_at(const char *text, size_t size_bytes);
/* The longest beginning of at most max_bytes that ends with a whole character. */
size_t enx_utf8_cut(const char *text, size_t size_bytes, size_t max_bytes);

#endif /* ENX_BACKEND_LOADED_H */
