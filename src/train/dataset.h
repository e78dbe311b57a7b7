/* SPDX-License-Identifier: Apache-2.0 */
/* dataset.h - examples from text files, drawn by seed.
 *
 * Draw number i of a shard depends on (seed, shard, i) and the files alone.  Each source is walked
 * in a fixed pseudo-random order without repetition until it is used up, then in another; `drawn`
 * counts per shard and source are all the state there is, and go into checkpoints.
 *
 * Control words of the vocabulary: <|end|> <|out|> <|restore|> <|scout|> <|plan|> <|more|> <|cut|>
 * <|L1|> <|L2|> <|L3|> and <|tag|> for each language.  An example of restore reads
 *
 *     <|restore|> <|pt_BR|> <|L3|> e a herdeira <|out|> É a herdeira. <|end|>
 *
 * with <|more|> after the tags when text was cut off before it, <|cut|> at the end when after it.
 * Running text (kind `plain`) comes in windows of whole characters, a byte or more a token, so that
 * each fits the context: <|end|> and then its tokens, all of them targets.  The last one of a batch
 * is cut to the room that is left.
 *
 * Where the recipe asks for drafts, the text of the prompt is spelt by the language's lexicon
 * (text/lexicon.h) as if the paragraph had not been counted; without a language tag it is left
 * as it is, unless there is one lexicon only.
 *
 * Layer: train.  Thread-safety: one thread fills one shard's batches; different shards at once.
 */
#ifndef ENX_TRAIN_DATASET_H
#define ENX_TRAIN_DATASET_H

#include "base/status.h"
#include "text/lexicon.h"
#include "text/tokenizer.h"
#include "train/net.h"
#include "train/recipe.h"

#include <stdint.h>

enum { ENX_DATASET_SHARDS_MAX = 64, ENX_DATASET_BYTES_MAX = 1 << 30 };

typedef struct enx_dataset enx_dataset;

/* Reads all sources from `folder`.  `recipe` is borrowed.  ENX_NOTFOUND, ENX_FORMAT (an empty or
 * malformed file), ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_dataset_open(enx_dataset **out, const enx_recipe *recipe,
                                         const char *folder, enx_report *report);
void                    enx_dataset_close(enx_dataset **dataset);

/* The control words, in the order of their ids; borrowed.  *count receives how many. */
const char *const *enx_dataset_controls(const enx_dataset *dataset, uint32_t *count);

/* Call `feed` with texts as the model will see them (damaged and whole), about feed_mb in all. */
typedef enx_status (*enx_dataset_feed_fn)(void *user, const char *text, size_t size_bytes);
ENX_MUST_USE enx_status enx_dataset_feed(enx_dataset *dataset, enx_dataset_feed_fn feed, void *user,
                                         enx_report *report);

/* Draw from `tokenizer` (borrowed) from now on. */
ENX_MUST_USE enx_status enx_dataset_set_tokenizer(enx_dataset         *dataset,
                                                  const enx_tokenizer *tokenizer,
                                                  enx_report          *report);

/* Fill the batch to the brim with the shard's next examples; the rest is <|end|> without target.
 * Examples longer than max_segment tokens are drawn again. */
ENX_MUST_USE enx_status enx_dataset_fill(enx_dataset *dataset, uint32_t shard, enx_batch *batch,
                                         uint32_t max_segment, enx_report *report);

/* Draw everything again from the start, by the recipe as it is now. */
void enx_dataset_rewind(enx_dataset *dataset);

/* The draw counts of all shards and sources, [count] u64: what a checkpoint needs. */
uint64_t *enx_dataset_state(enx_dataset *dataset, size_t *count);
/* FNV-1a over every byte of every source: which data made this model. */
uint64_t  enx_dataset_hash(const enx_dataset *dataset);
uint64_t  enx_dataset_bytes(const enx_dataset *dataset);
/* Those of the windows and lines that are drawn at all. */
uint64_t  enx_dataset_used_bytes(const enx_dataset *dataset);

/* Bytes of damaged text for each byte of whole text, of the restore source where damage takes most
 * (0.74 in Vietnamese); 1 without such a source.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_dataset_damage_ratio(const enx_dataset *dataset, double *ratio,
                                                 enx_report *report);

/* Lexicon number `index` and the language that it is of (NULL: of sources without language);
 * NULL: there are no more. */
const enx_lexicon *enx_dataset_lexicon(const enx_dataset *dataset, unsigned index,
                                       const char **language);

#endif /* ENX_TRAIN_DATASET_H */
