// A small set of image files for tests: toy faces as DOMAIN/PERSON/IMAGE.png (or .jpg), with
//     list.txt    "path identity domain" lines, in the order in which a scan of the folder finds them
//     index.tsv   the same with the column split (train for the first half of the people) and the landmarks
//     set.rec     with --rec, of one domain: the same files in RecordIO
// make_images --out FOLDER
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/toy/face.h"
#include "io/artifact.h"
#include "io/image.h"
#include "io/recordio.h"

struct settings {
  int64_t people, images, size, jpeg, gray, rec;
  char *domains, *out;
};

static const struct dvg_option options[] = {
    DVG_OPTION_INT(struct settings, people, "people", "3", 1, 1000, "people"),
    DVG_OPTION_INT(struct settings, images, "images", "2", 1, 1000, "images of a person in a domain"),
    DVG_OPTION_INT(struct settings, size, "size", "72", 16, DVG_TOY_MAX_SIZE, "side"),
    DVG_OPTION_FLAG(struct settings, jpeg, "jpeg", "0", "JPEG in place of PNG"),
    DVG_OPTION_FLAG(struct settings, gray, "gray", "0", "one channel"),
    DVG_OPTION_FLAG(struct settings, rec, "rec", "0", "RecordIO too"),
    DVG_OPTION_TEXT(struct settings, domains, "domains", "VIS,NIR", "domains"),
    DVG_OPTION_PATH(struct settings, out, "out", NULL, "folder"),
    DVG_OPTION_END};

struct lists {
  FILE *list, *index;
  struct dvg_recordio_writer *rec; // or NULL
};

static enum dvg_status add_record(struct lists *l, const char *path, int64_t person) {
  unsigned char *bytes = NULL;
  size_t n_bytes;
  DVG_TRY(dvg_path_read_bytes(path, 1 << 24, &bytes, &n_bytes));
  enum dvg_status status = dvg_recordio_add(l->rec, person, bytes, n_bytes);
  dvg_free(&bytes);
  return status;
}

static enum dvg_status write_image(const struct dvg_image *image, const char *path, int jpeg) {
  if (!jpeg) return dvg_image_write_png(image, path);
  unsigned char *bytes = NULL;
  size_t n_bytes;
  DVG_TRY(dvg_image_encode_jpeg(image, 92, &bytes, &n_bytes));
  enum dvg_status status = dvg_path_write_bytes(path, bytes, n_bytes);
  dvg_free(&bytes);
  return status;
}

static enum dvg_status make_one(const struct settings *s, struct lists *l, int domain, int64_t person,
                                int64_t number) {
  char folder[1024], name[96], path[1200];
  const char *domain_name = dvg_toy_domain_name((enum dvg_toy_domain)domain);
  int64_t picture = number * DVG_TOY_N_DOMAINS + domain;
  struct dvg_toy_identity identity;
  struct dvg_toy_attributes attributes;
  float landmarks[DVG_LANDMARKS];
  struct dvg_image rgb, stored;
  snprintf(folder, sizeof folder, "%s/%s/p%02lld", s->out, domain_name, (long long)person);
  snprintf(name, sizeof name, "%s/p%02lld/%03lld.%s", domain_name, (long long)person, (long long)number,
           s->jpeg ? "jpg" : "png");
  snprintf(path, sizeof path, "%s/%s", s->out, name);
  DVG_TRY(dvg_path_make_folder(folder));
  DVG_TRY(dvg_image_create(&rgb, s->size, s->size, 3));
  enum dvg_status status =
      dvg_toy_picture(rgb.pixels, (enum dvg_toy_domain)domain, s->size, 7, person, picture);
  if (status == DVG_OK) status = dvg_image_convert(&stored, &rgb, s->gray ? 1 : 3);
  if (status == DVG_OK) {
    status = write_image(&stored, path, s->jpeg != 0);
    dvg_image_free(&stored);
  }
  dvg_image_free(&rgb);
  DVG_TRY(status);
  if (l->rec) DVG_TRY(add_record(l, path, person));
  dvg_toy_identity_of(&identity, 7, person);
  dvg_toy_attributes_of(&attributes, 7, person, picture);
  dvg_toy_landmarks(landmarks, &identity, &attributes, s->size);
  fprintf(l->list, "%s p%02lld %s\n", name, (long long)person, domain_name);
  fprintf(l->index, "%s\tp%02lld\t%s\t%s", name, (long long)person, domain_name,
          2 * person < s->people ? "train" : "test");
  for (int i = 0; i < DVG_LANDMARKS; i++) fprintf(l->index, "\t%.2f", landmarks[i]);
  fputc('\n', l->index);
  return DVG_OK;
}

static enum dvg_status make_domain(const struct settings *s, struct lists *l, const char *name) {
  int d = 0;
  while (d < DVG_TOY_N_DOMAINS && strcmp(dvg_toy_domain_name((enum dvg_toy_domain)d), name) != 0) d++;
  if (d == DVG_TOY_N_DOMAINS) return dvg_fail(DVG_ERROR_USAGE, "no domain '%s'", name);
  for (int64_t p = 0; p < s->people; p++)
    for (int64_t i = 0; i < s->images; i++) DVG_TRY(make_one(s, l, d, p, i));
  return DVG_OK;
}

static enum dvg_status make(const struct settings *s) {
  char path[1200], *rest = NULL;
  struct lists l = {0};
  enum dvg_status status = DVG_OK;
  DVG_TRY(dvg_path_make_folder(s->out));
  snprintf(path, sizeof path, "%s/list.txt", s->out);
  l.list = fopen(path, "w");
  snprintf(path, sizeof path, "%s/index.tsv", s->out);
  l.index = fopen(path, "w");
  if (!l.list || !l.index) return dvg_fail(DVG_ERROR_IO, "%s: cannot write the lists", s->out);
  snprintf(path, sizeof path, "%s/set.rec", s->out);
  if (s->rec) DVG_TRY(dvg_recordio_create(&l.rec, path, s->people * s->images, s->people));
  fprintf(l.index,
          "path\tidentity\tdomain\tsplit\tleft_eye_x\tleft_eye_y\tright_eye_x\tright_eye_y\tnose_x\tnose_y"
          "\tleft_mouth_x\tleft_mouth_y\tright_mouth_x\tright_mouth_y\n");
  for (char *name = strtok_r(s->domains, ",", &rest); name && status == DVG_OK;
       name = strtok_r(NULL, ",", &rest))
    status = make_domain(s, &l, name);
  if (fclose(l.list) + fclose(l.index) != 0 && status == DVG_OK)
    status = dvg_fail(DVG_ERROR_IO, "%s: cannot write the lists", s->out);
  if (status == DVG_OK && s->rec) status = dvg_recordio_commit(&l.rec);
  return status;
}

int main(int argc, char **argv) {
  struct settings s = {0};
  struct dvg_options o = {.program = "make_images",
                          .summary = "a small set of image files, for tests",
                          .table = options,
                          .values = &s};
  dvg_log_setup(o.program, 0, 1);
  enum dvg_status status = dvg_options_parse(&o, argc, argv);
  if (status == DVG_OK && !o.help) status = make(&s);
  dvg_options_free(&o);
  return (int)status;
}
