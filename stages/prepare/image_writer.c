#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/image.h"
#include "stages/prepare/prepare.h"

enum { VERSION = 1 };

enum dvg_status dvg_prepare_set_create(struct dvg_prepare_set *set, int64_t N, int64_t n_people,
                                       int64_t n_domains) {
  struct dvg_prepare_set s = {.N = N, .n_people = n_people, .n_domains = n_domains};
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&s.identity, N, "identities"));
  DVG_TRY_GOTO(DVG_NEW(&s.domain, N, "domains"));
  DVG_TRY_GOTO(DVG_NEW(&s.name, N, "names"));
  DVG_TRY_GOTO(DVG_NEW(&s.person, n_people, "names of people"));
  DVG_TRY_GOTO(DVG_NEW(&s.domain_name, n_domains, "names of domains"));
  *set = s;
  return DVG_OK;
done:
  dvg_prepare_set_free(&s);
  return status;
}

void dvg_prepare_set_free(struct dvg_prepare_set *set) {
  dvg_free(&set->identity);
  dvg_free(&set->domain);
  dvg_free(&set->name);
  dvg_free(&set->person);
  dvg_free(&set->domain_name);
}

enum dvg_status dvg_prepare_set_lonely(int64_t *n, const struct dvg_prepare_set *set) {
  enum { NOBODY = -1, SEVERAL = -2 };
  *n = 0;
  if (set->n_domains < 2) return DVG_OK;
  int32_t *seen;
  DVG_TRY(DVG_NEW(&seen, set->n_people, "domains of people"));
  for (int64_t p = 0; p < set->n_people; p++) seen[p] = NOBODY;
  for (int64_t i = 0; i < set->N; i++) {
    int32_t *s = &seen[set->identity[i]];
    if (*s == NOBODY) *s = set->domain[i];
    else if (*s != set->domain[i]) *s = SEVERAL;
  }
  for (int64_t p = 0; p < set->n_people; p++) *n += seen[p] >= 0;
  dvg_free(&seen);
  return DVG_OK;
}

static enum dvg_status write_columns(struct dvg_artifact *a, const struct dvg_prepare_set *s) {
  const int64_t pixels[] = {s->N, s->H, s->W, s->C}, landmarks[] = {s->N, DVG_LANDMARKS};
  DVG_TRY(dvg_artifact_write(a, "identity", DVG_I64, 1, &s->N, s->identity));
  DVG_TRY(dvg_artifact_write(a, "domain", DVG_U8, 1, &s->N, s->domain));
  DVG_TRY(dvg_artifact_write(a, "domain_name", DVG_TEXT, 1, &s->n_domains, s->domain_name));
  enum dvg_status (*write)(struct dvg_artifact *, const char *, enum dvg_type, int, const int64_t *,
                           const void *) = s->names_aside ? dvg_artifact_write_aside : dvg_artifact_write;
  DVG_TRY(write(a, "name", DVG_TEXT, 1, &s->N, s->name));
  DVG_TRY(write(a, "person", DVG_TEXT, 1, &s->n_people, s->person));
  if (s->n_bad > 0) DVG_TRY(write(a, "bad", DVG_TEXT, 1, &s->n_bad, s->bad));
  if (s->has_landmarks) DVG_TRY(dvg_artifact_define(a, "landmarks", DVG_F32, 2, landmarks));
  return dvg_artifact_define(a, "image", DVG_U8, 4, pixels);
}

enum dvg_status dvg_prepare_begin(struct dvg_prepare_writer *p, const struct dvg_prepare_set *set,
                                  const char *out, const char *sheet, const struct dvg_lineage *l) {
  *p = (struct dvg_prepare_writer){.set = set, .sheet_path = sheet};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_lineage_create(&p->file, out, "images", VERSION, l));
  DVG_TRY_GOTO(write_columns(p->file, set));
  if (*sheet) DVG_TRY_GOTO(dvg_prepare_lay_out(p, dvg_path_name(out)));
  return DVG_OK;
done:
  dvg_prepare_drop(p);
  return status;
}

enum dvg_status dvg_prepare_put(struct dvg_prepare_writer *p, const unsigned char *pixels,
                                const float *landmarks) {
  DVG_TRY(dvg_artifact_append(p->file, "image", 1, pixels));
  if (p->set->has_landmarks) DVG_TRY(dvg_artifact_append(p->file, "landmarks", 1, landmarks));
  int32_t cell = p->cell ? p->cell[p->n_put] : -1;
  if (cell >= 0)
    dvg_sheet_cell_u8(p->sheet, cell / p->sheet_columns, cell % p->sheet_columns, pixels, p->set->C);
  p->n_put++;
  return DVG_OK;
}

enum dvg_status dvg_prepare_end(struct dvg_prepare_writer *p, double started) {
  // The sheet first: when it can't be written the artifact does not appear either.
  if (p->sheet) DVG_TRY(dvg_sheet_write(p->sheet, p->sheet_path));
  char *path = NULL, digest[DVG_DIGEST_TEXT];
  DVG_TRY(dvg_text(&path, "%s", dvg_artifact_path(p->file)));
  enum dvg_status status = dvg_artifact_commit(&p->file, digest);
  const struct dvg_prepare_set *s = p->set;
  if (status == DVG_OK)
    dvg_info("%s: %lld images of %lld people in %lld domain%s, %lld x %lld x %lld, in %.1f s, digest %s", path,
             (long long)s->N, (long long)s->n_people, (long long)s->n_domains, s->n_domains == 1 ? "" : "s",
             (long long)s->H, (long long)s->W, (long long)s->C, dvg_seconds() - started, digest);
  dvg_free(&path);
  dvg_prepare_drop(p);
  return status;
}

void dvg_prepare_drop(struct dvg_prepare_writer *p) {
  dvg_artifact_discard(&p->file);
  dvg_sheet_free(&p->sheet);
  dvg_free(&p->cell);
}

int64_t dvg_prepare_block(size_t record_bytes, int64_t most) {
  const size_t block_bytes = (size_t)1 << 20; // 1,000 ranks: 1 GB on rank 0
  int64_t n = (int64_t)(block_bytes / record_bytes);
  return n < 1 ? 1 : n < most ? n : most;
}

static enum dvg_status make_folder_of(const char *path) {
  char *folder = NULL;
  DVG_TRY(dvg_path_folder(&folder, path));
  enum dvg_status status = dvg_path_make_folder(folder);
  dvg_free(&folder);
  return status;
}

enum dvg_status dvg_prepare_folders(const struct dvg_world *w, const char *out, const char *sheet) {
  enum dvg_status status = DVG_OK;
  if (w->rank == 0) status = make_folder_of(out);
  if (w->rank == 0 && status == DVG_OK && *sheet) status = make_folder_of(sheet);
  return dvg_world_agree(w, status);
}
