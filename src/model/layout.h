/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h - a model's quantized matrices as products read them.
 *
 * A file has them row by row; products want panels (kernels/panels.h), which take as many bytes.
 * They are laid out once, when a model opens, and the file's own pages may then leave the memory:
 * a model takes the memory of its file, whichever way it lies.
 *
 * Layer: model.  Thread-safety: no shared state.
 */
#ifndef ENX_MODEL_LAYOUT_H
#define ENX_MODEL_LAYOUT_H

#include "base/status.h"
#include "model/model_file.h"
#include "model/weights.h"

/* Lay out the head's matrix and those of layers [layer_count], whose views then point into *block
 * [*block_bytes], which is the caller's to free.  `file`: where the pages of the rows are given
 * back as soon as they are read; NULL: nowhere.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_weights_lay_out(enx_matrix *head, enx_layer *layers,
                                            uint32_t layer_count, const enx_model_file *file,
                                            void **block, uint64_t *block_bytes,
                                            enx_report *report);

#endif /* ENX_MODEL_LAYOUT_H */
