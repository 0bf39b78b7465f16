// dvg-prepare render: a set of pictures of the toy world, with its truth.
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/toy/face.h"
#include "io/image.h"
#include "mpi/distribute.h"
#include "stages/prepare/prepare.h"

enum { MOST_AT_ONCE = 4, NAME_BYTES = 48 };

struct settings {
  int64_t people, images, first_person, first_image, paired, size, seed, gray;
  char *domains, *out, *sheet;
};

static const struct dvg_option options[] = {
    DVG_OPTION_INT(struct settings, people, "people", "10", 1, 10000000, "people to draw"),
    DVG_OPTION_INT(struct settings, images, "images", "4", 1, 100000, "images of a person in each domain"),
    DVG_OPTION_INT(struct settings, first_person, "first-person", "0", 0, INT64_C(1) << 42,
                   "number of the first person: sets with other numbers share nobody"),
    DVG_OPTION_INT(struct settings, first_image, "first-image", "0", 0, 200000, "number of the first image"),
    DVG_OPTION_TEXT(struct settings, domains, "domains", "VIS,NIR", "some of VIS, NIR, SKETCH, THERMAL"),
    DVG_OPTION_FLAG(struct settings, paired, "paired", "0",
                    "pose, light and expression of image i alike in all domains"),
    DVG_OPTION_INT(struct settings, size, "size", "144", 16, DVG_TOY_MAX_SIZE,
                   "pixels of a side (144: the recogniser's frame; 72: that of nets for 64 pixels)"),
    DVG_OPTION_INT(struct settings, seed, "seed", "1", 0, INT64_MAX, "seed of the world"),
    DVG_OPTION_FLAG(struct settings, gray, "gray", "0", "store one channel"),
    DVG_OPTION_PATH(struct settings, out, "out", NULL, "images file to write (.h5)"),
    DVG_OPTION_PATH(struct settings, sheet, "sheet", "", "contact sheet to write (.png)"),
    DVG_OPTION_END};

struct job {
  const struct settings *s;
  int64_t n_domains;
  enum dvg_toy_domain domain[DVG_TOY_N_DOMAINS];
  // rank 0
  struct dvg_prepare_set set;
  struct dvg_prepare_writer writer;
  char *names;
};

// ---- what each row shows

struct place {
  int64_t person, image, domain; // numbers of the toy world; index into the job's domains
};

// Rows go by person, domain, image. The toy world's image number depends on the domain itself, not on the
// others that are asked for: a set of VIS alone shows the same VIS pictures.
static struct place place_of(const struct job *j, int64_t row) {
  const struct settings *s = j->s;
  struct place p = {.person = s->first_person + row / (s->images * j->n_domains),
                    .domain = row / s->images % j->n_domains};
  p.image = (s->first_image + row % s->images) * DVG_TOY_N_DOMAINS;
  if (!s->paired) p.image += j->domain[p.domain];
  return p;
}

static enum dvg_status draw(unsigned char *pixels, const struct job *j, int64_t row) {
  const struct settings *s = j->s;
  struct place p = place_of(j, row);
  enum dvg_toy_domain domain = j->domain[p.domain];
  if (!s->gray) return dvg_toy_picture(pixels, domain, s->size, (uint64_t)s->seed, p.person, p.image);
  struct dvg_image rgb, gray;
  DVG_TRY(dvg_image_create(&rgb, s->size, s->size, 3));
  enum dvg_status status = dvg_toy_picture(rgb.pixels, domain, s->size, (uint64_t)s->seed, p.person, p.image);
  if (status == DVG_OK) status = dvg_image_convert(&gray, &rgb, 1);
  if (status == DVG_OK) {
    memcpy(pixels, gray.pixels, (size_t)(s->size * s->size));
    dvg_image_free(&gray);
  }
  dvg_image_free(&rgb);
  return status;
}

static size_t image_bytes(const struct job *j) {
  return (size_t)(j->s->size * j->s->size * (j->s->gray ? 1 : 3));
}

static enum dvg_status draw_rows(void *records, int64_t first, int64_t count, void *context) {
  const struct job *j = context;
  size_t n_bytes = image_bytes(j);
  for (int64_t i = 0; i < count; i++)
    DVG_TRY(draw((unsigned char *)records + (size_t)i * n_bytes, j, first + i));
  return DVG_OK;
}

static enum dvg_status store_rows(int64_t first, int64_t count, const void *records, void *context) {
  struct job *j = context;
  size_t n_bytes = image_bytes(j);
  for (int64_t i = 0; i < count; i++) {
    struct place p = place_of(j, first + i);
    struct dvg_toy_identity identity;
    struct dvg_toy_attributes attributes;
    float truth[dvg_toy_n_identity_factors + dvg_toy_n_attribute_factors], landmarks[DVG_LANDMARKS];
    dvg_toy_identity_of(&identity, (uint64_t)j->s->seed, p.person);
    dvg_toy_attributes_of(&attributes, (uint64_t)j->s->seed, p.person, p.image);
    dvg_toy_landmarks(landmarks, &identity, &attributes, j->s->size);
    DVG_TRY(dvg_prepare_put(&j->writer, (const unsigned char *)records + (size_t)i * n_bytes, landmarks));
    dvg_toy_identity_values(truth, &identity);
    DVG_TRY(dvg_artifact_append(j->writer.file, "truth_identity", 1, truth));
    dvg_toy_attribute_values(truth, &attributes);
    DVG_TRY(dvg_artifact_append(j->writer.file, "truth_attributes", 1, truth));
  }
  return DVG_OK;
}

// ---- the columns, on rank 0

static enum dvg_status define_truth(struct dvg_artifact *a, int64_t N, const char *name, const char *names,
                                    const struct dvg_toy_factor *factors, int64_t n) {
  const char **texts;
  const int64_t dims[] = {N, n};
  DVG_TRY(DVG_NEW(&texts, n, "names of factors"));
  for (int64_t i = 0; i < n; i++) texts[i] = factors[i].name;
  enum dvg_status status = dvg_artifact_write(a, names, DVG_TEXT, 1, &n, texts);
  dvg_free(&texts);
  if (status == DVG_OK) status = dvg_artifact_define(a, name, DVG_F32, 2, dims);
  return status;
}

// Rows are named PERSON/DOMAIN/IMAGE, people by their number in the toy world.
static enum dvg_status fill_columns(struct job *j) {
  const struct settings *s = j->s;
  int64_t N = s->people * s->images * j->n_domains;
  DVG_TRY(dvg_prepare_set_create(&j->set, N, s->people, j->n_domains));
  DVG_TRY(dvg_alloc((void **)&j->names, N + s->people, NAME_BYTES, "names"));
  j->set.H = j->set.W = s->size;
  j->set.C = s->gray ? 1 : 3;
  j->set.has_landmarks = 1;
  for (int64_t d = 0; d < j->n_domains; d++) j->set.domain_name[d] = (char *)dvg_toy_domain_name(j->domain[d]);
  for (int64_t i = 0; i < N; i++) {
    struct place p = place_of(j, i);
    j->set.identity[i] = p.person - s->first_person;
    j->set.domain[i] = (unsigned char)p.domain;
    j->set.name[i] = j->names + i * NAME_BYTES;
    snprintf(j->set.name[i], NAME_BYTES, "%06lld/%s/%06lld", (long long)p.person, j->set.domain_name[p.domain],
             (long long)p.image);
  }
  for (int64_t p = 0; p < s->people; p++) {
    j->set.person[p] = j->names + (N + p) * NAME_BYTES;
    snprintf(j->set.person[p], NAME_BYTES, "%06lld", (long long)(s->first_person + p));
  }
  return DVG_OK;
}

static enum dvg_status begin(struct job *j, const struct dvg_lineage *l) {
  DVG_TRY(fill_columns(j));
  DVG_TRY(dvg_prepare_begin(&j->writer, &j->set, j->s->out, j->s->sheet, l));
  struct dvg_artifact *a = j->writer.file;
  DVG_TRY(dvg_artifact_set_int(a, "seed", j->s->seed));
  DVG_TRY(define_truth(a, j->set.N, "truth_identity", "truth_identity_name", dvg_toy_identity_factors,
                       dvg_toy_n_identity_factors));
  return define_truth(a, j->set.N, "truth_attributes", "truth_attributes_name", dvg_toy_attribute_factors,
                      dvg_toy_n_attribute_factors);
}

// ---- options

static enum dvg_status add_domain(struct job *j, const char *name, size_t length) {
  for (int d = 0; d < DVG_TOY_N_DOMAINS; d++) {
    const char *known = dvg_toy_domain_name((enum dvg_toy_domain)d);
    if (strlen(known) != length || strncmp(known, name, length) != 0) continue;
    for (int64_t k = 0; k < j->n_domains; k++)
      if (j->domain[k] == (enum dvg_toy_domain)d)
        return dvg_fail(DVG_ERROR_USAGE, "--domains %s: %s is there twice", j->s->domains, known);
    j->domain[j->n_domains++] = (enum dvg_toy_domain)d;
    return DVG_OK;
  }
  return dvg_fail(DVG_ERROR_USAGE, "--domains %s: '%.*s' is none of VIS, NIR, SKETCH, THERMAL", j->s->domains,
                  (int)length, name);
}

static enum dvg_status check_settings(struct job *j) {
  const struct settings *s = j->s;
  for (const char *p = s->domains;; p++) {
    size_t length = strcspn(p, ",");
    DVG_TRY(add_domain(j, p, length));
    p += length;
    if (!*p) break;
  }
  int64_t most = DVG_TOY_MAX_IMAGES / DVG_TOY_N_DOMAINS;
  if (s->first_image + s->images > most)
    return dvg_fail(DVG_ERROR_USAGE, "--first-image %lld and --images %lld: image numbers end at %lld",
                    (long long)s->first_image, (long long)s->images, (long long)most);
  return DVG_OK;
}

static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  double started = dvg_seconds();
  struct job j = {.s = o->values};
  struct dvg_lineage l;
  dvg_log_quiet(w->rank != 0); // all ranks have the same settings
  enum dvg_status status = check_settings(&j);
  dvg_log_quiet(0);
  DVG_TRY(dvg_world_agree(w, status));
  DVG_TRY(dvg_world_agree(w, dvg_lineage_init(&l, o)));
  DVG_TRY_GOTO(dvg_prepare_folders(w, j.s->out, j.s->sheet));
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? begin(&j, &l) : DVG_OK));
  size_t n_bytes = image_bytes(&j);
  struct dvg_ordered_work work = {.n_items = j.s->people * j.s->images * j.n_domains,
                                  .block = dvg_prepare_block(n_bytes, MOST_AT_ONCE),
                                  .record_bytes = n_bytes,
                                  .compute = draw_rows,
                                  .consume = store_rows,
                                  .context = &j,
                                  .what = "images"};
  DVG_TRY_GOTO(dvg_distribute_ordered(w, &work));
  DVG_TRY_GOTO(dvg_world_agree(w, w->rank == 0 ? dvg_prepare_end(&j.writer, started) : DVG_OK));
done:
  dvg_prepare_drop(&j.writer);
  dvg_prepare_set_free(&j.set);
  dvg_free(&j.names);
  dvg_lineage_free(&l);
  return status;
}

const struct dvg_stage dvg_prepare_render = {.program = "dvg-prepare render",
                                             .summary = "draws people of the toy world into an images file",
                                             .options = options,
                                             .settings_bytes = sizeof(struct settings),
                                             .run = run};
