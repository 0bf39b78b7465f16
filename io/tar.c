// Reading tar shards: libarchive walks the headers, pread or libarchive's gzip filter gives the images.
#include "io/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "io/artifact.h"
#include "io/file.h"
#include "io/tar_format.h"

enum {
  BLOCK = 64 << 10,
  TAR_BLOCK = 512,
  MAX_NAME = 4096,
  MAX_CLS = 4096,
  MAX_JSON = 1 << 20,
  MAX_IMAGE = 256 << 20
};

// Texts live as long as the set, in blocks.
struct text_block {
  struct text_block *next;
  size_t n, room;
  char text[];
};

struct dvg_tar_state {
  struct text_block *texts;
  unsigned char *is_plain; // (n_tars)
  int64_t tar;             // which file is open; -1: none
  int fd;
  int64_t file_bytes;
  struct archive *archive; // NULL, or walking through it
};

enum kind { KIND_OTHER, KIND_IMAGE, KIND_UNREADABLE, KIND_CLS, KIND_JSON };

// The sample that is being gathered; `key` "" for none.
struct sample {
  char key[MAX_NAME + 1], unreadable[MAX_NAME + 1];
  int64_t first_image;
  char *identity, *domain; // as a label told
  int rank, any_label;
};

struct opening {
  struct dvg_tar_set *t;
  int64_t room;
  struct sample sample;
  struct dvg_bytes label;
};

// ---- the open file

static void shut(struct dvg_tar_state *s) {
  if (s->archive) archive_read_free(s->archive);
  if (s->tar >= 0) close(s->fd);
  s->archive = NULL;
  s->tar = -1;
}

static enum dvg_status open_file(struct dvg_tar_set *t, int64_t tar) {
  struct dvg_tar_state *s = t->state;
  const char *path = t->tars[tar];
  if (s->tar == tar) return DVG_OK;
  shut(s);
  DVG_TRY(dvg_file_open(&s->fd, &s->file_bytes, path));
  s->tar = tar;
  return DVG_OK;
}

static enum dvg_status bad_archive(const struct dvg_tar_set *t, struct archive *a) {
  const char *path = t->tars[t->state->tar], *cause = archive_error_string(a);
  return dvg_fail(DVG_ERROR_INPUT, "%s: is no readable tar file: %s", path, cause ? cause : "unknown cause");
}

// From its first header on.
static enum dvg_status start_walk(struct dvg_tar_set *t, int64_t tar) {
  struct dvg_tar_state *s = t->state;
  DVG_TRY(open_file(t, tar));
  if (s->archive) archive_read_free(s->archive);
  s->archive = archive_read_new();
  if (!s->archive || lseek(s->fd, 0, SEEK_SET) != 0)
    return dvg_fail(DVG_ERROR_IO, "%s: cannot read", t->tars[tar]);
  archive_read_support_filter_gzip(s->archive);
  archive_read_support_format_tar(s->archive);
  if (archive_read_open_fd(s->archive, s->fd, BLOCK) != ARCHIVE_OK) return bad_archive(t, s->archive);
  return DVG_OK;
}

// *entry = the next header, NULL at the end; then *offset is where its bytes begin. A warning is about what we
// don't use, times and owners.
static enum dvg_status next_header(struct archive_entry **entry, int64_t *offset, struct dvg_tar_set *t) {
  struct archive *a = t->state->archive;
  int code = archive_read_next_header(a, entry);
  if (code == ARCHIVE_EOF) *entry = NULL;
  else if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return bad_archive(t, a);
  *offset = archive_filter_bytes(a, 0);
  return DVG_OK;
}

static enum dvg_status read_data(struct dvg_bytes *b, struct dvg_tar_set *t, int64_t n_bytes,
                                 const char *name) {
  struct archive *a = t->state->archive;
  b->n = 0;
  DVG_TRY(dvg_bytes_reserve(b, (size_t)n_bytes, name));
  while (b->n < (size_t)n_bytes) {
    la_ssize_t got = archive_read_data(a, b->data + b->n, (size_t)n_bytes - b->n);
    if (got < 0) return bad_archive(t, a);
    if (got == 0) return dvg_fail(DVG_ERROR_INPUT, "%s: %s: is truncated", t->tars[t->state->tar], name);
    b->n += (size_t)got;
  }
  return DVG_OK;
}

// ---- texts

static enum dvg_status keep(const char **out, struct dvg_tar_state *s, const char *text) {
  size_t n = strlen(text) + 1;
  struct text_block *b = s->texts;
  if (!b || b->room - b->n < n) {
    size_t room = n > BLOCK ? n : BLOCK;
    DVG_TRY(dvg_alloc((void **)&b, (int64_t)(sizeof *b + room), 1, "names"));
    b->next = s->texts;
    b->room = room;
    s->texts = b;
  }
  *out = memcpy(b->text + b->n, text, n);
  b->n += n;
  return DVG_OK;
}

// Neighbours often have the same.
static enum dvg_status keep_or_share(const char **out, struct dvg_tar_state *s, const char *text,
                                     const char *before) {
  if (!before || strcmp(text, before) != 0) return keep(out, s, text);
  *out = before;
  return DVG_OK;
}

// ---- samples

static const char *path_of(const struct opening *o) {
  return o->t->tars[o->t->state->tar];
}

static enum dvg_status bad_sample(const struct opening *o, const char *what, const char *more) {
  return dvg_fail(DVG_ERROR_INPUT, "%s: sample '%s' %s%s", path_of(o), o->sample.key, what, more);
}

static void clear_sample(struct sample *x, int64_t n_images) {
  dvg_free(&x->identity);
  dvg_free(&x->domain);
  x->key[0] = x->unreadable[0] = 0;
  x->any_label = 0;
  x->first_image = n_images;
}

static enum dvg_status end_sample(struct opening *o) {
  struct dvg_tar_set *t = o->t;
  struct sample *x = &o->sample;
  int64_t n = t->n_images - x->first_image;
  if (n == 0 && x->unreadable[0])
    return bad_sample(o, "has no image of a kind that is read, only ", x->unreadable);
  if (n == 0 && x->any_label) return bad_sample(o, "has a label and no image", "");
  if (n > 0 && !x->identity) return bad_sample(o, "has no identity (a member .cls, or in .json)", "");
  const struct dvg_tar_image *before = x->first_image ? &t->images[x->first_image - 1] : NULL;
  for (int64_t i = x->first_image; i < t->n_images; i++) {
    struct dvg_tar_image *image = &t->images[i];
    DVG_TRY(keep_or_share(&image->identity, t->state, x->identity, before ? before->identity : NULL));
    if (!*image->domain && x->domain)
      DVG_TRY(keep_or_share(&image->domain, t->state, x->domain, before ? before->domain : NULL));
    for (int64_t k = x->first_image; k < i; k++)
      if (strcasecmp(t->images[k].domain, image->domain) == 0)
        return bad_sample(o, "has two images of one kind: ", image->name);
    before = image;
  }
  clear_sample(x, t->n_images);
  return DVG_OK;
}

// ---- members

static enum kind kind_of(const char *type, int has_domain) {
  static const char *const images[] = {"jpg", "jpeg", "png", "pgm", "ppm", "pnm", "bmp"};
  static const char *const unreadable[] = {"webp", "gif", "tif", "tiff", "jp2", "heic", "avif"};
  for (size_t i = 0; i < sizeof images / sizeof *images; i++)
    if (strcasecmp(type, images[i]) == 0) return KIND_IMAGE;
  for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++)
    if (strcasecmp(type, unreadable[i]) == 0) return KIND_UNREADABLE;
  if (has_domain) return KIND_OTHER;
  return strcasecmp(type, "cls") == 0 ? KIND_CLS : strcasecmp(type, "json") == 0 ? KIND_JSON : KIND_OTHER;
}

static enum dvg_status bad_member(const struct opening *o, const char *name, const char *what) {
  return dvg_fail(DVG_ERROR_INPUT, "%s: %s: %s", path_of(o), name, what);
}

static enum dvg_status add_image(struct opening *o, const char *name, const char *domain, int64_t offset,
                                 int64_t n_bytes) {
  struct dvg_tar_set *t = o->t;
  enum { MOST_IN_SAMPLE = 64 }; // they are compared with each other
  if (t->n_images - o->sample.first_image >= MOST_IN_SAMPLE)
    return bad_sample(o, "has more than 64 images", "");
  if (t->n_images == o->room) {
    int64_t room = o->room ? 2 * o->room : 64;
    struct dvg_tar_image *larger = NULL;
    DVG_TRY(DVG_NEW(&larger, room, "images of a tar file"));
    if (t->n_images) memcpy(larger, t->images, (size_t)t->n_images * sizeof *larger);
    dvg_free(&t->images);
    t->images = larger;
    o->room = room;
  }
  struct dvg_tar_image image = {.identity = "", .tar = t->state->tar, .offset = offset, .n_bytes = n_bytes};
  DVG_TRY(keep(&image.name, t->state, name));
  DVG_TRY(
      keep_or_share(&image.domain, t->state, domain, t->n_images ? t->images[t->n_images - 1].domain : NULL));
  t->images[t->n_images++] = image;
  return DVG_OK;
}

static enum dvg_status add_label(struct opening *o, const char *name, int64_t n_bytes, int is_json) {
  struct sample *x = &o->sample;
  char where[MAX_NAME + 512], *identity = NULL, *domain = NULL;
  int rank = 0;
  DVG_TRY(read_data(&o->label, o->t, n_bytes, name));
  snprintf(where, sizeof where, "%.500s: %s", path_of(o), name);
  const char *text = n_bytes ? (const char *)o->label.data : "";
  DVG_TRY(dvg_tar_label(&identity, &rank, &domain, text, (size_t)n_bytes, is_json, where));
  x->any_label = 1;
  if (identity && (!x->identity || rank < x->rank)) {
    dvg_free(&x->identity);
    x->identity = identity;
    x->rank = rank;
  } else {
    dvg_free(&identity);
  }
  if (domain && !x->domain) x->domain = domain;
  else dvg_free(&domain);
  return DVG_OK;
}

static enum dvg_status take_kind(struct opening *o, struct archive_entry *entry, enum kind kind,
                                 const char *name, const char *domain, int64_t offset) {
  if (kind == KIND_OTHER) return DVG_OK;
  if (kind == KIND_UNREADABLE) {
    snprintf(o->sample.unreadable, sizeof o->sample.unreadable, "%s", name);
    return DVG_OK;
  }
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
      archive_entry_sparse_count(entry))
    return bad_member(o, name, "is a link, sparse or something else that is no plain file");
  int64_t n_bytes = archive_entry_size(entry);
  int64_t most = kind == KIND_IMAGE ? MAX_IMAGE : kind == KIND_CLS ? MAX_CLS : MAX_JSON;
  if (n_bytes > most) return bad_member(o, name, "is too large");
  return kind == KIND_IMAGE ? add_image(o, name, domain, offset, n_bytes)
                            : add_label(o, name, n_bytes, kind == KIND_JSON);
}

// Splits KEY.[DOMAIN.]TYPE. A name without a key or a dot belongs to no sample.
static enum dvg_status take_member(struct opening *o, struct archive_entry *entry, int64_t offset) {
  char domain[MAX_NAME + 1] = "";
  const char *name = archive_entry_pathname(entry);
  if (!name) name = archive_entry_pathname_utf8(entry);
  if (!name || archive_entry_filetype(entry) == AE_IFDIR) return DVG_OK;
  if (strlen(name) > MAX_NAME)
    return dvg_fail(DVG_ERROR_INPUT, "%s: has a name of more than %d bytes: %.80s...", path_of(o), MAX_NAME,
                    name);
  while (strncmp(name, "./", 2) == 0) name += 2; // as tar names what it was told as .
  const char *base = dvg_path_name(name), *dot = strchr(base, '.');
  if (!dot || dot == base) return DVG_OK;
  for (const char *p = name; *p; p++)
    if ((unsigned char)*p < 0x20) return bad_member(o, "a member", "has a name with control characters");
  size_t n_key = (size_t)(dot - name);
  if (strncmp(o->sample.key, name, n_key) != 0 || o->sample.key[n_key] != 0) {
    DVG_TRY(end_sample(o));
    memcpy(o->sample.key, name, n_key);
    o->sample.key[n_key] = 0;
  }
  const char *type = strrchr(base, '.');
  if (type > dot) snprintf(domain, sizeof domain, "%.*s", (int)(type - dot - 1), dot + 1);
  return take_kind(o, entry, kind_of(type + 1, type > dot), name, domain, offset);
}

// ---- the set

// *end = where the next header is to be expected; of a sparse member, whose size says nothing about that, at
// least as far.
static enum dvg_status find_end(int64_t *end, const struct opening *o, struct archive_entry *entry,
                                int64_t offset) {
  const struct dvg_tar_state *s = o->t->state;
  const int64_t largest = (int64_t)1 << 60;
  *end = offset;
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
      archive_entry_sparse_count(entry))
    return DVG_OK;
  int64_t n_bytes = archive_entry_size(entry);
  if (n_bytes < 0 || n_bytes > largest || (s->is_plain[s->tar] && n_bytes > s->file_bytes - offset))
    return dvg_fail(DVG_ERROR_INPUT,
                    "%s: is truncated: it ends inside a member of %" PRId64 " bytes at byte %" PRId64,
                    path_of(o), n_bytes, offset);
  *end = offset + (n_bytes + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
  return DVG_OK;
}

static enum dvg_status take_tar(struct opening *o, int64_t tar) {
  struct dvg_tar_state *s = o->t->state;
  struct archive_entry *entry = NULL;
  int64_t offset = 0, end = 0;
  DVG_TRY(start_walk(o->t, tar));
  for (;;) {
    DVG_TRY(next_header(&entry, &offset, o->t));
    s->is_plain[tar] = archive_filter_code(s->archive, 0) == ARCHIVE_FILTER_NONE;
    if (!entry) break;
    DVG_TRY(find_end(&end, o, entry, offset));
    DVG_TRY(take_member(o, entry, offset));
  }
  // A file cut between two members would else be a smaller set without a word.
  if (offset < end + TAR_BLOCK)
    return dvg_fail(DVG_ERROR_INPUT, "%s: is truncated: it has no end mark", path_of(o));
  return end_sample(o);
}

static int by_name(const void *a, const void *b) {
  const struct dvg_tar_image *x = *(struct dvg_tar_image *const *)a, *y = *(struct dvg_tar_image *const *)b;
  return strcmp(x->name, y->name);
}

static enum dvg_status check_names(const struct dvg_tar_set *t) {
  const struct dvg_tar_image **sorted = NULL;
  enum dvg_status status = DVG_OK;
  DVG_TRY(DVG_NEW(&sorted, t->n_images, "names"));
  for (int64_t i = 0; i < t->n_images; i++) sorted[i] = &t->images[i];
  qsort(sorted, (size_t)t->n_images, sizeof *sorted, by_name);
  for (int64_t i = 1; i < t->n_images && status == DVG_OK; i++)
    if (by_name(&sorted[i - 1], &sorted[i]) == 0)
      status = dvg_fail(DVG_ERROR_INPUT, "%s: %s: the name is there twice%s%s", t->tars[sorted[i]->tar],
                        sorted[i]->name, sorted[i]->tar == sorted[i - 1]->tar ? "" : ", also in ",
                        sorted[i]->tar == sorted[i - 1]->tar ? "" : t->tars[sorted[i - 1]->tar]);
  dvg_free(&sorted);
  return status;
}

enum dvg_status dvg_tar_open(struct dvg_tar_set *out, const char *source) {
  struct dvg_tar_set t = {0};
  struct opening *o = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&t.state, 1, "a tar file"));
  t.state->tar = -1;
  DVG_TRY_GOTO(dvg_tar_names(&t.tars, &t.n_tars, source));
  DVG_TRY_GOTO(DVG_NEW(&t.state->is_plain, t.n_tars, "tar files"));
  DVG_TRY_GOTO(DVG_NEW(&o, 1, "a tar file"));
  o->t = &t;
  for (int64_t i = 0; i < t.n_tars; i++) DVG_TRY_GOTO(take_tar(o, i));
  DVG_TRY_GOTO(check_names(&t));
  if (t.n_images == 0) {
    status = dvg_fail(DVG_ERROR_INPUT, "%s: holds no image", source);
    goto done;
  }
  *out = t;
done:
  if (o) {
    clear_sample(&o->sample, 0);
    dvg_bytes_free(&o->label);
  }
  dvg_free(&o);
  if (status != DVG_OK) dvg_tar_close(&t);
  return status;
}

void dvg_tar_close(struct dvg_tar_set *t) {
  if (t->state) {
    shut(t->state);
    for (struct text_block *b = t->state->texts, *next; b; b = next) {
      next = b->next;
      dvg_free(&b);
    }
    dvg_free(&t->state->is_plain);
  }
  dvg_free(&t->state);
  dvg_free(&t->images);
  dvg_tar_names_free(&t->tars, t->n_tars);
  *t = (struct dvg_tar_set){0};
}

// ---- reading an image

static enum dvg_status read_plain(struct dvg_bytes *b, struct dvg_tar_set *t,
                                  const struct dvg_tar_image *image) {
  const char *path = t->tars[image->tar];
  DVG_TRY(open_file(t, image->tar));
  b->n = 0;
  DVG_TRY(dvg_bytes_reserve(b, (size_t)image->n_bytes, path));
  DVG_TRY(dvg_file_read(t->state->fd, path, b->data, (size_t)image->n_bytes, image->offset));
  b->n = (size_t)image->n_bytes;
  return DVG_OK;
}

static enum dvg_status read_forwards(struct dvg_bytes *b, struct dvg_tar_set *t,
                                     const struct dvg_tar_image *image) {
  struct dvg_tar_state *s = t->state;
  if (s->tar != image->tar || !s->archive || archive_filter_bytes(s->archive, 0) >= image->offset)
    DVG_TRY(start_walk(t, image->tar));
  struct archive_entry *entry = NULL;
  int64_t offset = 0;
  do {
    DVG_TRY(next_header(&entry, &offset, t));
  } while (entry && offset < image->offset);
  if (!entry || offset != image->offset || archive_entry_size(entry) != image->n_bytes)
    return dvg_fail(DVG_ERROR_INPUT, "%s: %s: has changed since the file was opened", t->tars[image->tar],
                    image->name);
  return read_data(b, t, image->n_bytes, image->name);
}

enum dvg_status dvg_tar_read(struct dvg_bytes *b, struct dvg_tar_set *t, int64_t i) {
  const struct dvg_tar_image *image = &t->images[i];
  return t->state->is_plain[image->tar] ? read_plain(b, t, image) : read_forwards(b, t, image);
}
