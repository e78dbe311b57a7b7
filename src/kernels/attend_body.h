/* SPDX-License-Identifier: Apache-2.0 */
/* attend_body.h - attention over keys and values in f32; included once by each level's file.
 *
 * One text for all levels, which the compiler widens: positions of a block are lanes, so that no
 * sum crosses them.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_ATTEND_BODY_H
#define ENX_KERNELS_ATTEND_BODY_H

#include "kernels/kernels_impl.h"

#include <string.h>

enum { KEYS_ABREAST = 16 };

static void attend_scores_f32(float *out, const float *q, const float *k, size_t head_width,
                              size_t count)
{
    for (size_t first = 0; first < count; first += KEYS_ABREAST, out += KEYS_ABREAST) {
        float sum[KEYS_ABREAST] = { 0 };
        for (size_t d = 0; d < head_width; d++, k += KEYS_ABREAST)
            for (size_t i = 0; i < KEYS_ABREAST; i++) sum[i] += q[d] * k[i];
        memcpy(out, sum, sizeof sum);
    }
}

static void attend_mix_f32(float *out, const float *weights, const float *v, size_t head_width,
                           size_t count)
{
    memset(out, 0, head_width * sizeof *out);
    for (size_t p = 0; p < count; p++, v += head_width)
        for (size_t d = 0; d < head_width; d++) out[d] += weights[p] * v[d];
}

#endif /* ENX_KERNELS_ATTEND_BODY_H */
