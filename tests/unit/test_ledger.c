// The ledger of pairs: which items are written, what a request keeps, what is refused.
#include <stdio.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "stages/ledger.h"
#include "tests/check.h"

static char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

// Sets of 7 items in shards of 3 with the fates given.
static struct dvg_shard_reader *make_set(const char *name, const unsigned char *fate) {
  struct dvg_shards s;
  struct dvg_shard_reader *r = NULL;
  char path[256];
  snprintf(path, sizeof path, "%s/%s", dvg_test_folder(), name);
  CHECK_OK(dvg_shards_create(&s, path, 7, 3));
  for (int64_t k = 0; k < s.n_shards; k++) {
    struct dvg_artifact *a = NULL;
    char *file = NULL;
    int64_t n = dvg_shards_rows(&s, k);
    CHECK_OK(dvg_shards_path(&file, &s, k));
    CHECK_OK(dvg_artifact_create(&a, file, "pairs", DVG_PAIRS_VERSION, "dvg-test 0", ""));
    CHECK_OK(dvg_artifact_write(a, "fate", DVG_U8, 1, &n, fate + 3 * k));
    CHECK_OK(dvg_artifact_commit(&a, NULL));
    dvg_free(&file);
  }
  CHECK_OK(dvg_shards_index(&s, "pairs", "dvg-test 0", "", NULL));
  dvg_shards_free(&s);
  CHECK_OK(dvg_shard_reader_open(&r, path, "pairs", DVG_PAIRS_VERSION));
  return r;
}

static void finds_what_is_written(void) {
  // All of the 2^7 - 1 sets that have a written item would be too many files: the borders and a few between.
  static const unsigned char fates[][7] = {{0, 0, 0, 0, 0, 0, 0},
                                           {1, 0, 1, 1, 0, 0, 1},
                                           {0, 1, 1, 1, 1, 1, 0},
                                           {1, 1, 1, 1, 1, 1, 0},
                                           {0, 0, 0, 1, 0, 0, 0}};
  for (size_t c = 0; c < sizeof fates / sizeof *fates; c++) {
    char name[32];
    snprintf(name, sizeof name, "set%zu", c);
    struct dvg_shard_reader *r = make_set(name, fates[c]);
    struct dvg_ledger l;
    CHECK_OK(dvg_ledger_read(&l, r, name));
    int64_t k = 0;
    for (int64_t i = 0; i < 7; i++) {
      CU_ASSERT_EQUAL(dvg_ledger_before(&l, i), k);
      if (fates[c][i] == DVG_FATE_WRITTEN) CU_ASSERT_EQUAL(dvg_ledger_item(&l, k++), i);
    }
    CU_ASSERT_EQUAL(l.n_written, k);
    CU_ASSERT_EQUAL(l.n_rejected, 7 - k);
    dvg_ledger_free(&l);
    dvg_shard_reader_close(&r);
  }
}

static void refuses_fates(void) {
  static const unsigned char none[7] = {1, 1, 1, 1, 1, 1, 1}, unknown[7] = {0, 0, 0, 0, 2, 0, 0};
  struct dvg_ledger l;
  struct dvg_shard_reader *r = make_set("none", none);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_ledger_read(&l, r, "none"), DVG_ERROR_INPUT);
  dvg_shard_reader_close(&r);
  r = make_set("unknown", unknown);
  CU_ASSERT_EQUAL(dvg_ledger_read(&l, r, "unknown"), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  CU_ASSERT_PTR_NULL(l.rejected);
  dvg_shard_reader_close(&r);
}

// Beyond 2^32, without a file of that size.
static void counts_far(void) {
  int64_t rejected[] = {0, INT64_C(5000000000), INT64_C(5000000001), INT64_C(9000000000000)};
  struct dvg_ledger l = {.n_rejected = 4, .rejected = rejected};
  CU_ASSERT_EQUAL(dvg_ledger_item(&l, 0), 1);
  CU_ASSERT_EQUAL(dvg_ledger_item(&l, INT64_C(4999999998)), INT64_C(4999999999));
  CU_ASSERT_EQUAL(dvg_ledger_item(&l, INT64_C(4999999999)), INT64_C(5000000002));
  CU_ASSERT_EQUAL(dvg_ledger_before(&l, INT64_C(9000000000001)), INT64_C(8999999999997));
}

static struct dvg_lineage lineage(char *settings) {
  struct dvg_lineage l = {.program = "dvg-test", .settings = settings};
  dvg_lineage_add(&l, "generator", "/somewhere/my best generator.h5", digest);
  dvg_lineage_add(&l, "bank", "bank.h5", digest);
  return l;
}

static void keeps_a_request(void) {
  char settings[] = "seed = 1\nfirst = 5000000000\n";
  int64_t row[] = {3, 17};
  struct dvg_lineage l = lineage(settings), back;
  struct dvg_request r = {.items = INT64_C(6000000000), .per_shard = 10, .first = INT64_C(5000000000)}, got;
  char *inputs = NULL, *again = NULL;
  const char *folder = dvg_test_folder();
  CU_ASSERT_FALSE(dvg_request_exists(folder));
  r.revoked = DVG_REVOKED_REMAKE, r.n_rows = 2, r.row = row;
  CHECK_OK(dvg_request_write(&r, folder, &l));
  CU_ASSERT_TRUE(dvg_request_exists(folder));
  CHECK_OK(dvg_request_read(&got, folder));
  CU_ASSERT_TRUE(got.items == r.items && got.per_shard == 10 && got.first == r.first);
  CU_ASSERT_TRUE(got.revoked == DVG_REVOKED_REMAKE && got.n_rows == 2 && got.row[0] == 3 && got.row[1] == 17);
  // The lineage comes back as it was, blanks in a name included.
  CHECK_OK(dvg_lineage_inputs(&inputs, &l));
  CHECK_OK(dvg_request_compare(&got, folder, settings, inputs));
  CHECK_OK(dvg_request_lineage(&back, &got, "dvg-test"));
  CHECK_OK(dvg_lineage_inputs(&again, &back));
  CU_ASSERT_STRING_EQUAL(again, inputs);
  CU_ASSERT_STRING_EQUAL(back.settings, settings);
  dvg_log_quiet(1);
  CU_ASSERT_EQUAL(dvg_request_compare(&got, folder, "seed = 1\nfirst = 0\n", inputs), DVG_ERROR_INPUT);
  CU_ASSERT_EQUAL(dvg_request_compare(&got, folder, settings, "bank bank.h5 0\n"), DVG_ERROR_INPUT);
  dvg_log_quiet(0);
  dvg_free(&inputs);
  dvg_free(&again);
  dvg_lineage_free(&back);
  dvg_request_free(&got);
}

static void refuses_requests(void) {
  char settings[] = "seed = 1\n";
  int64_t descending[] = {17, 3}, negative[] = {-1, 3};
  struct dvg_lineage l = lineage(settings);
  const struct dvg_request bad[] = {
      {.items = 0, .per_shard = 1},
      {.items = 1, .per_shard = 0},
      {.items = 2, .per_shard = 1, .first = INT64_MAX - 1},
      {.items = 1, .per_shard = 1, .revoked = DVG_REVOKED_DROP},
      {.items = 1, .per_shard = 1, .n_rows = 2, .row = descending},
      {.items = 1, .per_shard = 1, .revoked = DVG_REVOKED_DROP, .n_rows = 2, .row = descending},
      {.items = 1, .per_shard = 1, .revoked = DVG_REVOKED_DROP, .n_rows = 2, .row = negative}};
  struct dvg_request got;
  dvg_log_quiet(1);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct dvg_request r = bad[i];
    if (!r.row) r.row = descending;
    CHECK_OK(dvg_request_write(&r, dvg_test_folder(), &l));
    CU_ASSERT_EQUAL(dvg_request_read(&got, dvg_test_folder()), DVG_ERROR_INPUT);
  }
  struct dvg_request fine = {.items = 1, .per_shard = 1, .row = descending};
  for (int i = 0; i < 3; i++) {
    static char *const inputs[] = {"nonsense\n", "bank bank.h5\n", "bank bank.h5 short\n"};
    fine.inputs = inputs[i], fine.settings = settings;
    CU_ASSERT_EQUAL(dvg_request_lineage(&l, &fine, "dvg-test"), DVG_ERROR_INPUT);
  }
  dvg_log_quiet(0);
}

const struct dvg_test dvg_tests[] = {{"finds what is written", finds_what_is_written},
                                     {"refuses fates", refuses_fates},
                                     {"counts far", counts_far},
                                     {"keeps a request", keeps_a_request},
                                     {"refuses requests", refuses_requests},
                                     {NULL, NULL}};
