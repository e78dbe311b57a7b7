/* SPDX-License-Identifier: Apache-2.0 */
/* lexicon.h - how words are spelt most often: a first draft of a restoration, by looking up.
 *
 * A small model that reads "prispivatel" has to know by heart that Czech writes "přispívatel".
 * That knowledge is cheaper in a table than in weights: the model reads the draft, and spends
 * itself on what a table cannot know (e or é, where a sentence ends).  A draft never changes what
 * damage makes of the text, so it tells the model no less than the text does.
 *
 * A word is a run of letters; its key is what is left without accents and capitals.  A lexicon
 * holds for each key the form that occurred most often, if that is not the key itself; and for
 * pairs of neighbours in a line, by both keys, the form of one of them that occurred most often
 * there, where the word alone leaves doubt or says something else.  A pair comes before a word, and
 * of two pairs the one whose form is more certain.  Capitals at the start of a sentence say nothing
 * about the word and are not counted.
 *
 * Saved form: entries in the order of their keys, each u8 certainty (255 x occurrences of the form
 * / (1 + those of the key)), u8 bytes shared with the entry before, u8 further bytes, these bytes.
 * An entry is "form", "left-key form" or "form TAB right-key".
 *
 * Layer: text.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_TEXT_LEXICON_H
#define ENX_TEXT_LEXICON_H

#include "base/buf.h"
#include "base/rng.h"
#include "base/status.h"

enum { ENX_LEXICON_WORD_BYTES_MAX = 96, ENX_LEXICON_BYTES_MAX = 1 << 26 };

typedef struct enx_lexicon enx_lexicon;

/* From text, a paragraph a line.  ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_lexicon_open_text(enx_lexicon **out, const char *text,
                                              size_t size_bytes, enx_report *report);
/* From its saved form.  ENX_FORMAT says at which byte; ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_lexicon_open_bytes(enx_lexicon **out, const void *bytes,
                                               size_t size_bytes, enx_report *report);
void                    enx_lexicon_close(enx_lexicon **lexicon);

size_t                  enx_lexicon_count(const enx_lexicon *lexicon);
/* Append the saved form. */
ENX_MUST_USE enx_status enx_lexicon_save(const enx_lexicon *lexicon, enx_buf *out,
                                         enx_report *report);

/* Append `text` with the words that lack `kinds` (ENX_DAMAGE_KIND_*) as the lexicon spells them:
 * damage of the draft by `kinds` is `text` again if it was so of the text.  Words that have
 * accents or capitals which damage would take stay as they are.
 * `forget`: for training, when the lexicon was made from text that holds this one: overlook rare
 * words by chance, as if it had not been there; NULL: use all. */
ENX_MUST_USE enx_status enx_lexicon_draft(const enx_lexicon *lexicon, const char *text,
                                          size_t size_bytes, unsigned kinds, enx_rng *forget,
                                          enx_buf *out, enx_report *report);

#endif /* ENX_TEXT_LEXICON_H */
