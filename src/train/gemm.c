/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c - which products are our own, and oneDNN matmul primitives, cached by shape. */
#include "train/gemm.h"

#include "base/check.h"
#include "base/mem.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>

/* Linear search: a net has about 20 shapes. */
enum { GEMM_SHAPES_MAX = 128 };

/* libgomp's own entry.  The setting belongs to the calling thread, so each call repeats it: oneDNN
 * would start a team of threads otherwise, and their spinning takes the cores from the others. */
void omp_set_num_threads(int count);

typedef struct gemm_shape {
    enx_product      product;
    dnnl_primitive_t primitive;
    dnnl_memory_t    a, b, c;

    dnnl_memory_desc_t b_desc;
    dnnl_primitive_t   blocking; /* floats to b; NULL until asked for */
    dnnl_memory_t      b_floats;
} gemm_shape;

struct enx_gemm {
    dnnl_engine_t           engine;
    dnnl_stream_t           stream;
    dnnl_data_type_t        type;
    const enx_grad_kernels *grad;

    const enx_matrix_kernels *own; /* NULL: all products are oneDNN's */
    float *scratch;                /* [ENX_MATRIX_SCRATCH], and a block of a plain b behind it */
    size_t scratch_floats;

    size_t     shape_count;
    gemm_shape shapes[GEMM_SHAPES_MAX];
};

bool enx_gemm_has_bf16(void)
{
#if defined(__x86_64__)
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    return isa == dnnl_cpu_isa_avx512_core_bf16 || isa == dnnl_cpu_isa_avx512_core_amx;
#else
    return false;
#endif
}

enx_status enx_gemm_open(enx_gemm **out, bool is_bf16, const enx_grad_kernels *grad,
                         enx_report *report)
{
    enx_gemm *gemm = ENX_MEM_NEW(enx_gemm, 1);
    if (!gemm) return ENX_FAIL(report, NOMEM, "no memory for matrix products");
    gemm->type = is_bf16 ? dnnl_bf16 : dnnl_f32;
    gemm->grad = grad;
    gemm->own = is_bf16 ? NULL : grad->matrix;
    if (dnnl_engine_create(&gemm->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&gemm->stream, gemm->engine, dnnl_stream_default_flags) !=
            dnnl_success) {
        enx_gemm_close(&gemm);
        return ENX_FAIL(report, UNSUPPORTED, "oneDNN cannot start on this processor");
    }
    *out = gemm;
    return ENX_OK;
}

static void shape_close(gemm_shape *shape)
{
    dnnl_memory_destroy(shape->a);
    dnnl_memory_destroy(shape->b);
    dnnl_memory_destroy(shape->c);
    dnnl_primitive_destroy(shape->primitive);
    dnnl_memory_destroy(shape->b_floats);
    dnnl_primitive_destroy(shape->blocking);
}

void enx_gemm_close(enx_gemm **gemm)
{
    if (!*gemm) return;
    for (size_t i = 0; i < (*gemm)->shape_count; i++) shape_close(&(*gemm)->shapes[i]);
    if ((*gemm)->stream) dnnl_stream_destroy((*gemm)->stream);
    if ((*gemm)->engine) dnnl_engine_destroy((*gemm)->engine);
    enx_mem_free((*gemm)->scratch);
    enx_mem_free(*gemm);
    *gemm = NULL;
}

size_t enx_gemm_packed_bytes(size_t n) { return n * sizeof(float); }

const void *enx_gemm_operand(const enx_gemm *gemm, void *room, const float *values, size_t n)
{
    if (gemm->type != dnnl_bf16) return values;
    gemm->grad->to_bf16(room, values, n);
    return room;
}

float *enx_gemm_floats(const enx_gemm *gemm, void *packed, float *room)
{
    return gemm->type == dnnl_bf16 ? room : packed;
}

void enx_gemm_keep(const enx_gemm *gemm, void *packed, const float *floats, size_t n)
{
    if (gemm->type == dnnl_bf16) gemm->grad->to_bf16(packed, floats, n);
}

/* ---- Our own -------------------------------------------------------------------------------- */

static enx_status make_scratch(enx_gemm *gemm, const enx_product *p, enx_report *report)
{
    const size_t depth = p->k < ENX_MATRIX_DEPTH ? p->k : ENX_MATRIX_DEPTH;
    const size_t floats = ENX_MATRIX_SCRATCH + (p->b_is_blocked ? 0 : depth * p->n);
    if (floats <= gemm->scratch_floats) return ENX_OK;
    enx_mem_free(gemm->scratch);
    gemm->scratch_floats = 0;
    gemm->scratch = ENX_MEM_NEW(float, floats);
    if (!gemm->scratch) return ENX_FAIL(report, NOMEM, "no memory for matrix products");
    gemm->scratch_floats = floats;
    return ENX_OK;
}

/* A plain b is packed a block of k at a time, while its rows are near. */
static enx_status run_own(enx_gemm *gemm, const enx_product *p, float *c, const float *a,
                          const float *b, enx_report *report)
{
    enx_matrix_product product = { .m = p->m,
                                   .n = p->n,
                                   .k = p->k,
                                   .a_stride = p->a_turned ? p->m : p->k,
                                   .a_turned = p->a_turned,
                                   .is_added = p->is_added };
    ENX_CHECK(p->m % 2 == 0 && p->n % ENX_MATRIX_PANEL == 0 && !(p->b_turned && !p->b_is_blocked));
    ENX_TRY(make_scratch(gemm, p, report));
    if (p->b_is_blocked) {
        gemm->own->multiply(c, a, b, &product, gemm->scratch);
        return ENX_OK;
    }
    float *panels = gemm->scratch + ENX_MATRIX_SCRATCH;
    for (size_t first = 0; first < p->k; first += ENX_MATRIX_DEPTH, product.is_added = true) {
        product.k = p->k - first < ENX_MATRIX_DEPTH ? p->k - first : ENX_MATRIX_DEPTH;
        gemm->own->pack(panels, b + first * p->n, product.k, p->n, false);
        gemm->own->multiply(c, a + first * (p->a_turned ? p->m : 1), panels, &product,
                            gemm->scratch);
    }
    return ENX_OK;
}

/* ---- oneDNN's ------------------------------------------------------------------------------- */

/* A [rows][columns] matrix, stored so or turned. */
static dnnl_status_t describe(dnnl_memory_desc_t *out, size_t rows, size_t columns,
                              dnnl_data_type_t type, bool turned)
{
    const dnnl_dims_t dims = { (dnnl_dim_t)rows, (dnnl_dim_t)columns };
    const dnnl_dims_t strides = { turned ? 1 : (dnnl_dim_t)columns, turned ? (dnnl_dim_t)rows : 1 };
    return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides);
}

/* Of a `b` in any layout, the one that was chosen is left there. */
static dnnl_status_t make_primitive(dnnl_primitive_t *out, const enx_gemm *gemm,
                                    const dnnl_memory_desc_t *a, dnnl_memory_desc_t *b,
                                    const dnnl_memory_desc_t *c, bool is_added)
{
    dnnl_matmul_desc_t    desc;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t       post = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t         status = dnnl_matmul_desc_init(&desc, a, b, NULL, c);
    if (status == dnnl_success) status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success && is_added) {
        status = dnnl_post_ops_create(&post);
        if (status == dnnl_success) status = dnnl_post_ops_append_sum(post, 1.0f);
        if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, post);
    }
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&pd, &desc, attr, gemm->engine, NULL);
    if (status == dnnl_success) *b = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    if (status == dnnl_success) status = dnnl_primitive_create(out, pd);
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (post) dnnl_post_ops_destroy(post);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return status;
}

static dnnl_status_t shape_open(gemm_shape *shape, const enx_gemm *gemm, const enx_product *p)
{
    dnnl_memory_desc_t a, b, c;
    *shape = (gemm_shape){ .product = *p };
    dnnl_status_t     status = describe(&a, p->m, p->k, gemm->type, p->a_turned);
    const dnnl_dims_t b_dims = { (dnnl_dim_t)p->k, (dnnl_dim_t)p->n };
    if (status == dnnl_success)
        status = p->b_is_blocked
                     ? dnnl_memory_desc_init_by_tag(&b, 2, b_dims, gemm->type, dnnl_format_tag_any)
                     : describe(&b, p->k, p->n, gemm->type, p->b_turned);
    if (status == dnnl_success) status = describe(&c, p->m, p->n, dnnl_f32, false);
    if (status == dnnl_success)
        status = make_primitive(&shape->primitive, gemm, &a, &b, &c, p->is_added);
    if (status == dnnl_success)
        status = dnnl_memory_create(&shape->a, &a, gemm->engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status = dnnl_memory_create(&shape->b, &b, gemm->engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status = dnnl_memory_create(&shape->c, &c, gemm->engine, DNNL_MEMORY_NONE);
    shape->b_desc = b;
    return status;
}

static bool same_product(const enx_product *a, const enx_product *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->a_turned == b->a_turned &&
           a->b_turned == b->b_turned && a->is_added == b->is_added &&
           a->b_is_blocked == b->b_is_blocked;
}

static gemm_shape *shape_find(enx_gemm *gemm, const enx_product *product)
{
    for (size_t i = 0; i < gemm->shape_count; i++)
        if (same_product(&gemm->shapes[i].product, product)) return &gemm->shapes[i];
    if (gemm->shape_count == GEMM_SHAPES_MAX) return NULL;
    gemm_shape *shape = &gemm->shapes[gemm->shape_count];
    if (shape_open(shape, gemm, product) != dnnl_success) {
        shape_close(shape);
        return NULL;
    }
    gemm->shape_count++;
    return shape;
}

/* oneDNN takes data pointers without const, and does not write through these two. */
static void *unconst(const void *pointer)
{
    void *plain;
    memcpy(&plain, &pointer, sizeof plain);
    return plain;
}

static enx_status refuse(const enx_product *product, enx_report *report)
{
    return ENX_FAIL(report, UNSUPPORTED, "oneDNN refuses a %zu x %zu x %zu product", product->m,
                    product->n, product->k);
}

enx_status enx_gemm_run(enx_gemm *gemm, const enx_product *product, float *c, const void *a,
                        const void *b, enx_report *report)
{
    if (gemm->own) return run_own(gemm, product, c, a, b, report);
    gemm_shape *shape = shape_find(gemm, product);
    if (!shape) return refuse(product, report);
    dnnl_memory_set_data_handle(shape->a, unconst(a));
    dnnl_memory_set_data_handle(shape->b, unconst(b));
    dnnl_memory_set_data_handle(shape->c, c);
    omp_set_num_threads(1);
    const dnnl_exec_arg_t arguments[] = { { DNNL_ARG_SRC, shape->a },
                                          { DNNL_ARG_WEIGHTS, shape->b },
                                          { DNNL_ARG_DST, shape->c } };
    dnnl_status_t status = dnnl_primitive_execute(shape->primitive, gemm->stream, 3, arguments);
    if (status == dnnl_success) status = dnnl_stream_wait(gemm->stream);
    if (status != dnnl_success)
        return ENX_FAIL(report, UNSUPPORTED, "oneDNN failed (status %d)", (int)status);
    return ENX_OK;
}

/* ---- Blocked operands ------------------------------------------------------------------------ */

enx_status enx_gemm_block_bytes(enx_gemm *gemm, const enx_product *product, size_t *size_bytes,
                                enx_report *report)
{
    ENX_CHECK(product->b_is_blocked);
    if (gemm->own) {
        *size_bytes = product->k * product->n * sizeof(float);
        return ENX_OK;
    }
    const gemm_shape *shape = shape_find(gemm, product);
    if (!shape) return refuse(product, report);
    *size_bytes = dnnl_memory_desc_get_size(&shape->b_desc);
    return ENX_OK;
}

static dnnl_status_t open_blocking(enx_gemm *gemm, gemm_shape *shape)
{
    const enx_product    *p = &shape->product;
    dnnl_memory_desc_t    floats;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t         status = describe(&floats, p->k, p->n, dnnl_f32, p->b_turned);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&pd, &floats, gemm->engine, &shape->b_desc,
                                                    gemm->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_memory_create(&shape->b_floats, &floats, gemm->engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success) status = dnnl_primitive_create(&shape->blocking, pd);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return status;
}

enx_status enx_gemm_block(enx_gemm *gemm, const enx_product *product, void *blocked,
                          const float *values, enx_report *report)
{
    if (gemm->own) {
        gemm->own->pack(blocked, values, product->k, product->n, product->b_turned);
        return ENX_OK;
    }
    gemm_shape *shape = shape_find(gemm, product);
    if (!shape) return refuse(product, report);
    omp_set_num_threads(1);
    dnnl_status_t status = dnnl_success;
    if (!shape->blocking) status = open_blocking(gemm, shape);
    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(shape->b_floats, unconst(values));
    if (status == dnnl_success) status = dnnl_memory_set_data_handle(shape->b, blocked);
    const dnnl_exec_arg_t arguments[] = { { DNNL_ARG_FROM, shape->b_floats },
                                          { DNNL_ARG_TO, shape->b } };
    if (status == dnnl_success)
        status = dnnl_primitive_execute(shape->blocking, gemm->stream, 2, arguments);
    if (status == dnnl_success) status = dnnl_stream_wait(gemm->stream);
    if (status != dnnl_success)
        return ENX_FAIL(report, UNSUPPORTED, "oneDNN failed (status %d)", (int)status);
    return ENX_OK;
}
