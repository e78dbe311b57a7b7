/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_file.c - a model in parts is the model, and parts that do not fit are named. */
#include "model/model_file.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARTS = 3, PATH_BYTES = 256 };

typedef struct fixture {
    char      folder[64];
    enx_buf   whole;
    enx_gguf *gguf; /* of `whole` */
} fixture;

/* What a part says of itself; the values that files in order have. */
typedef struct part_says {
    uint32_t number, count, tensor_count;
} part_says;

static void path_of(char out[PATH_BYTES], const fixture *f, unsigned number, unsigned count)
{
    snprintf(out, PATH_BYTES, "%s/tiny-%05u-of-%05u.gguf", f->folder, number, count);
}

/* Tensors first, first + step, ... of the whole; the keys too when `has_keys`. */
static void write_part(const fixture *f, const char *path, part_says says, uint64_t first,
                       uint64_t step, bool has_keys)
{
    enx_gguf_writer *writer = NULL;
    enx_buf          bytes;
    enx_buf_init(&bytes, 1 << 24);
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    if (has_keys) enx_gguf_add_from(writer, f->gguf, NULL);
    enx_gguf_add_u32(writer, "split.no", says.number);
    enx_gguf_add_u32(writer, "split.count", says.count);
    enx_gguf_add_u32(writer, "split.tensors.count", says.tensor_count);
    for (uint64_t i = first; i < enx_gguf_tensor_count(f->gguf); i += step) {
        const enx_gguf_tensor *t = enx_gguf_tensor_at(f->gguf, i);
        char                   name[ENX_GGUF_NAME_BYTES_MAX + 1] = { 0 };
        memcpy(name, t->name.data, t->name.size_bytes);
        enx_gguf_add_tensor(writer, name, t->type, t->dim_count, t->dims, t->data);
    }
    assert_int_equal(enx_gguf_writer_finish(writer, &bytes, NULL), ENX_OK);
    assert_int_equal(enx_file_write(path, bytes.data, bytes.size_bytes, NULL), ENX_OK);
    enx_gguf_writer_close(&writer);
    enx_buf_deinit(&bytes);
}

static part_says truth(const fixture *f, uint32_t number)
{
    return (part_says){ number, PARTS, (uint32_t)enx_gguf_tensor_count(f->gguf) };
}

static int write_parts(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/enxame-parts-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    enx_buf_init(&f->whole, 1 << 24);
    assert_int_equal(tiny_build(&tiny_default, &f->whole, NULL), ENX_OK);
    assert_int_equal(enx_gguf_open(&f->gguf, f->whole.data, f->whole.size_bytes, NULL), ENX_OK);
    for (unsigned i = 0; i < PARTS; i++) {
        char path[PATH_BYTES];
        path_of(path, f, i + 1, PARTS);
        write_part(f, path, truth(f, i), i, PARTS, i == 0);
    }
    *state = f;
    return 0;
}

static int remove_parts(void **state)
{
    fixture *f = *state;
    char     command[PATH_BYTES];
    snprintf(command, sizeof command, "rm -r '%s'", f->folder);
    enx_gguf_close(&f->gguf);
    enx_buf_deinit(&f->whole);
    const int result = system(command);
    free(f);
    return result;
}

static void parts_are_the_model(void **state)
{
    const fixture *f = *state;
    enx_model_file file = { 0 };
    enx_model     *model = NULL;
    char           path[PATH_BYTES];
    path_of(path, f, 1, PARTS);
    assert_int_equal(enx_model_file_open(&file, path, NULL), ENX_OK);
    assert_int_equal(file.part_count, PARTS);
    assert_int_equal(enx_gguf_tensor_count(file.gguf), enx_gguf_tensor_count(f->gguf));
    for (uint64_t i = 0; i < enx_gguf_tensor_count(f->gguf); i++) {
        const enx_gguf_tensor *want = enx_gguf_tensor_at(f->gguf, i);
        char                   name[ENX_GGUF_NAME_BYTES_MAX + 1] = { 0 };
        memcpy(name, want->name.data, want->name.size_bytes);
        const enx_gguf_tensor *got = enx_gguf_tensor_find(file.gguf, name);
        assert_non_null(got);
        assert_int_equal(got->size_bytes, want->size_bytes);
        assert_memory_equal(got->data, want->data, want->size_bytes);
    }
    assert_int_equal(enx_model_open(&model, file.gguf, NULL), ENX_OK);
    enx_model_close(&model);
    enx_model_file_close(&file);
}

/* Written again, it is one file: nothing says that there are parts. */
static void copies_are_whole(void **state)
{
    const fixture   *f = *state;
    enx_model_file   file = { 0 };
    enx_gguf_writer *writer = NULL;
    enx_gguf        *copy = NULL;
    enx_buf          bytes;
    char             path[PATH_BYTES];
    enx_buf_init(&bytes, 1 << 24);
    path_of(path, f, 1, PARTS);
    assert_int_equal(enx_model_file_open(&file, path, NULL), ENX_OK);
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    enx_gguf_add_from(writer, file.gguf, NULL);
    assert_int_equal(enx_gguf_writer_finish(writer, &bytes, NULL), ENX_OK);
    assert_int_equal(enx_gguf_open(&copy, bytes.data, bytes.size_bytes, NULL), ENX_OK);
    assert_false(enx_gguf_find(copy, "split.count", NULL));
    assert_true(enx_gguf_find(copy, "general.architecture", NULL));
    enx_gguf_close(&copy);
    enx_gguf_writer_close(&writer);
    enx_buf_deinit(&bytes);
    enx_model_file_close(&file);
}

static void refuse(const fixture *f, enx_status status, const char *text)
{
    enx_model_file file = { 0 };
    enx_report     report = { 0 };
    char           path[PATH_BYTES];
    path_of(path, f, 1, PARTS);
    assert_int_equal(enx_model_file_open(&file, path, &report), status);
    assert_non_null(strstr(report.text, text));
    assert_null(file.gguf);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    const fixture *f = *state;
    char           second[PATH_BYTES], first[PATH_BYTES], odd[PATH_BYTES];
    enx_model_file file = { 0 };
    enx_report     report = { 0 };
    path_of(first, f, 1, PARTS);
    path_of(second, f, 2, PARTS);

    assert_int_equal(enx_model_file_open(&file, second, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "part 2 of 3; name the first part"));

    write_part(f, second, truth(f, 2), 1, PARTS, false);
    refuse(f, ENX_FORMAT, "00002-of-00003.gguf: part 3 of 3");
    write_part(f, second, truth(f, 1), 0, PARTS, false);
    refuse(f, ENX_FORMAT, "appears twice");
    write_part(f, second, truth(f, 1), 1, 2 * PARTS, false);
    refuse(f, ENX_FORMAT, "the parts hold");
    assert_int_equal(truncate(second, 40), 0);
    refuse(f, ENX_FORMAT, "00002-of-00003.gguf");
    assert_int_equal(unlink(second), 0);
    refuse(f, ENX_NOTFOUND, "00002-of-00003.gguf");

    const part_says lies[] = { { 0, 0, 1 }, { 3, 3, 1 }, { 0, 60000, 1 } };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        write_part(f, first, lies[i], 0, PARTS, true);
        refuse(f, i < 2 ? ENX_FORMAT : ENX_LIMIT, i < 2 ? "split.no" : "60000 parts");
    }
    snprintf(odd, sizeof odd, "%s/odd.gguf", f->folder);
    write_part(f, odd, truth(f, 0), 0, PARTS, true);
    assert_int_equal(enx_model_file_open(&file, odd, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "rename the parts"));
}

static void memory_may_run_out_anywhere(void **state)
{
    const fixture *f = *state;
    enx_model_file file = { 0 };
    enx_status     status = ENX_NOMEM;
    char           path[PATH_BYTES];
    path_of(path, f, 1, PARTS);
    for (long after = 0; status == ENX_NOMEM || status == ENX_LIMIT; after++) {
        enx_mem_fail_after(after);
        status = enx_model_file_open(&file, path, NULL);
        enx_mem_fail_after(-1);
        if (status != ENX_OK) assert_null(file.gguf);
    }
    assert_int_equal(status, ENX_OK);
    enx_model_file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parts_are_the_model, write_parts, remove_parts),
        cmocka_unit_test_setup_teardown(copies_are_whole, write_parts, remove_parts),
        cmocka_unit_test_setup_teardown(parts_that_do_not_fit_are_refused, write_parts,
                                        remove_parts),
        cmocka_unit_test_setup_teardown(memory_may_run_out_anywhere, write_parts, remove_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
