#include "stages/evaluate/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/rng.h"

// ---- choosing images

// How many images of the domain each person has.
static void count_images(const struct dvg_image_set *set, int domain, int64_t *count) {
  for (int64_t i = 0; i < set->N; i++) count[set->identity[i]] += set->domain[i] == domain;
}

// keep[i] = whether the i-th image of a person who has `count` of them is one of the `wanted` drawn ones.
static enum dvg_status draw(unsigned char *keep, int64_t count, int64_t wanted, const char *person,
                            uint64_t seed) {
  int64_t *order = NULL;
  DVG_TRY(DVG_NEW(&order, count, "an order of images"));
  struct dvg_rng r;
  dvg_rng_init(&r, seed, DVG_STREAM_SPLIT,
               dvg_rng_name(person)); // by name: other people in the file change nothing
  dvg_rng_permutation(&r, order, count);
  for (int64_t i = 0; i < count; i++) keep[order[i]] = i < wanted;
  dvg_free(&order);
  return DVG_OK;
}

// in_gallery[i] = 1 for the gallery's rows of the set.
static enum dvg_status choose_gallery(unsigned char *in_gallery, const struct dvg_image_set *set, int domain,
                                      const struct dvg_protocol_options *o) {
  int64_t *count = NULL, *first = NULL, *seen = NULL;
  unsigned char *keep = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&count, set->n_people, "counters of people"));
  DVG_TRY_GOTO(DVG_NEW(&first, set->n_people, "counters of people"));
  DVG_TRY_GOTO(DVG_NEW(&seen, set->n_people, "counters of people"));
  DVG_TRY_GOTO(DVG_NEW(&keep, set->N, "marks of images"));
  count_images(set, domain, count);
  int64_t next = 0;
  for (int64_t k = 0; k < set->n_people; k++) {
    first[k] = next;
    next += count[k];
    int64_t wanted = o->per_person && o->per_person < count[k] ? o->per_person : count[k];
    if (o->at_random && wanted < count[k])
      DVG_TRY_GOTO(draw(keep + first[k], count[k], wanted, set->person[k], o->seed));
    else memset(keep + first[k], 1, (size_t)wanted);
  }
  for (int64_t i = 0; i < set->N; i++) {
    if (set->domain[i] != domain) continue;
    int64_t k = set->identity[i];
    in_gallery[i] = keep[first[k] + seen[k]++];
  }
done:
  dvg_free(&count);
  dvg_free(&first);
  dvg_free(&seen);
  dvg_free(&keep);
  return status;
}

static int64_t padded(int64_t n, int64_t tile) {
  return (n + tile - 1) / tile * tile;
}

// side = the marked rows of the set.
static enum dvg_status take_rows(struct dvg_side *side, const struct dvg_image_set *set,
                                 const unsigned char *marked, const int64_t *person_of, int64_t tile) {
  side->set = set;
  side->path = dvg_artifact_path(set->file);
  snprintf(side->digest, sizeof side->digest, "%s", dvg_artifact_digest(set->file));
  memcpy(side->images_digest, side->digest, sizeof side->digest);
  for (int64_t i = 0; i < set->N; i++) side->n += marked[i];
  DVG_TRY(DVG_NEW(&side->row, side->n, "rows of images"));
  DVG_TRY(DVG_NEW(&side->person, side->n, "people of images"));
  DVG_TRY(dvg_alloc((void **)&side->embedding, padded(side->n, tile), DVG_CODE * sizeof(float), "embeddings"));
  int64_t n = 0;
  for (int64_t i = 0; i < set->N; i++) {
    if (!marked[i]) continue;
    side->row[n] = i;
    side->person[n++] = person_of ? person_of[set->identity[i]] : set->identity[i];
  }
  return DVG_OK;
}

// ---- matching people by name

struct named {
  const char *name;
  int64_t number;
};

static int by_name(const void *a, const void *b) {
  const struct named *x = a, *y = b;
  return strcmp(x->name, y->name);
}

// number[k] = the person of `in` who has the name of person k of `of`, or -1.
static enum dvg_status match_people(int64_t *number, const struct dvg_image_set *of,
                                    const struct dvg_image_set *in) {
  struct named *list = NULL;
  DVG_TRY(DVG_NEW(&list, in->n_people, "names of people"));
  for (int64_t k = 0; k < in->n_people; k++) list[k] = (struct named){in->person[k], k};
  qsort(list, (size_t)in->n_people, sizeof *list, by_name);
  for (int64_t k = 0; k < of->n_people; k++) {
    struct named key = {of->person[k], 0};
    const struct named *found = bsearch(&key, list, (size_t)in->n_people, sizeof *list, by_name);
    number[k] = found ? found->number : -1;
  }
  dvg_free(&list);
  return DVG_OK;
}

// ---- the protocol

enum dvg_status dvg_protocol_count(struct dvg_protocol *p, int64_t n_gallery_numbers,
                                   const int64_t *probe_person, int64_t n_probe_numbers) {
  const struct dvg_side *g = &p->gallery, *q = &p->probes;
  p->n_gallery_numbers = n_gallery_numbers;
  DVG_TRY(DVG_NEW(&p->gallery_images, n_gallery_numbers, "counters of people"));
  DVG_TRY(DVG_NEW(&p->probe_number, q->n, "people of probes"));
  int64_t *number = NULL; // counted from 1
  DVG_TRY(DVG_NEW(&number, n_probe_numbers, "people of probes"));
  for (int64_t i = 0; i < g->n; i++) p->n_gallery_people += p->gallery_images[g->person[i]]++ == 0;
  for (int64_t i = 0; i < q->n; i++) {
    int64_t n = q->person[i] < 0 ? 0 : p->gallery_images[q->person[i]];
    p->n_strangers += n == 0;
    p->n_genuine += n;
    p->n_impostor += g->n - n;
    int64_t *own = &number[probe_person[i]];
    if (*own == 0) *own = ++p->n_probe_people;
    p->probe_number[i] = *own - 1;
  }
  dvg_free(&number);
  return DVG_OK;
}

static enum dvg_status count_scores(struct dvg_protocol *p, const struct dvg_protocol_options *o) {
  const struct dvg_side *q = &p->probes;
  int64_t *probe_person = NULL;
  DVG_TRY(DVG_NEW(&probe_person, q->n, "people of probes"));
  for (int64_t i = 0; i < q->n; i++) probe_person[i] = q->set->identity[q->row[i]];
  enum dvg_status status =
      dvg_protocol_count(p, p->gallery.set->n_people, probe_person, q->set->n_people);
  dvg_free(&probe_person);
  DVG_TRY(status);
  if (o->fold && (p->n_genuine == 0 || p->n_impostor == 0))
    return dvg_fail(DVG_ERROR_INPUT, "fold %s: %s", o->fold->name,
                    p->n_genuine == 0 ? "no probe shows a person of the gallery"
                                      : "gallery and probes show one person only: nobody to mistake");
  if (p->n_genuine == 0)
    return dvg_fail(DVG_ERROR_INPUT, "no probe of domain %s in %s shows a person of the gallery (%s in %s)",
                    o->probe_domain, o->probe_path, o->gallery_domain, o->gallery_path);
  if (p->n_impostor == 0)
    return dvg_fail(DVG_ERROR_INPUT, "gallery (%s in %s) and probes show one person only: nobody to mistake",
                    o->gallery_domain, o->gallery_path);
  return DVG_OK;
}

// Marks the images of two domains.
static enum dvg_status choose_by_domain(unsigned char *in_gallery, unsigned char *in_probes,
                                        const struct dvg_image_set *gallery, const struct dvg_image_set *probes,
                                        const struct dvg_protocol_options *o) {
  int gallery_domain, probe_domain;
  int64_t n_gallery = 0, n_probes = 0;
  DVG_TRY(dvg_image_set_domain(gallery, o->gallery_domain, &gallery_domain));
  DVG_TRY(dvg_image_set_domain(probes, o->probe_domain, &probe_domain));
  DVG_TRY(choose_gallery(in_gallery, gallery, gallery_domain, o));
  for (int64_t i = 0; i < probes->N; i++)
    n_probes += in_probes[i] = probes->domain[i] == probe_domain && !(gallery == probes && in_gallery[i]);
  for (int64_t i = 0; i < gallery->N; i++) n_gallery += in_gallery[i];
  if (n_gallery == 0)
    return dvg_fail(DVG_ERROR_INPUT, "%s: the gallery is empty: no image of domain %s", o->gallery_path,
                    o->gallery_domain);
  if (n_probes > 0) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: there are no probes: no image of domain %s%s", o->probe_path,
                  o->probe_domain,
                  gallery == probes && gallery_domain == probe_domain
                      ? " is left by the gallery (--gallery-per-person takes some of them)"
                      : "");
}

static enum dvg_status choose(struct dvg_protocol *p, const struct dvg_protocol_options *o) {
  const struct dvg_image_set *gallery = &p->set[0], *probes = p->same_set ? gallery : &p->set[1];
  unsigned char *mark[DVG_N_ROLES] = {NULL, NULL};
  int64_t *person_of = NULL;
  enum dvg_status status;
  DVG_TRY_GOTO(DVG_NEW(&mark[DVG_GALLERY], gallery->N, "marks of images"));
  DVG_TRY_GOTO(DVG_NEW(&mark[DVG_PROBE], probes->N, "marks of images"));
  DVG_TRY_GOTO(DVG_NEW(&person_of, probes->n_people, "people"));
  if (o->fold) {
    for (int r = 0; r < DVG_N_ROLES; r++)
      for (int64_t i = 0; i < o->fold->n[r]; i++) mark[r][o->fold->row[r][i]] = 1;
  } else DVG_TRY_GOTO(choose_by_domain(mark[DVG_GALLERY], mark[DVG_PROBE], gallery, probes, o));
  DVG_TRY_GOTO(match_people(person_of, probes, gallery));
  DVG_TRY_GOTO(take_rows(&p->gallery, gallery, mark[DVG_GALLERY], NULL, DVG_TILE_GALLERY));
  DVG_TRY_GOTO(take_rows(&p->probes, probes, mark[DVG_PROBE], person_of, DVG_TILE_PROBES));
  status = count_scores(p, o);
done:
  for (int r = 0; r < DVG_N_ROLES; r++) dvg_free(&mark[r]);
  dvg_free(&person_of);
  return status;
}

struct choice {
  struct dvg_protocol *p;
  const struct dvg_protocol_options *o;
};
static enum dvg_status choose_of(void *context) {
  struct choice *c = context;
  return choose(c->p, c->o);
}

enum dvg_status dvg_protocol_create(struct dvg_protocol *p, const struct dvg_world *w,
                                    const struct dvg_protocol_options *o) {
  *p = (struct dvg_protocol){.width = DVG_CODE, .same_set = strcmp(o->gallery_path, o->probe_path) == 0};
  enum dvg_status status;
  DVG_TRY_GOTO(dvg_stage_open_images(&p->set[0], w, o->gallery_path));
  if (!p->same_set) DVG_TRY_GOTO(dvg_stage_open_images(&p->set[1], w, o->probe_path));
  if (!p->same_set && strcmp(dvg_artifact_digest(p->set[0].file), dvg_artifact_digest(p->set[1].file)) == 0)
    p->same_set = 1; // two names for one content
  struct choice c = {p, o};
  DVG_TRY_GOTO(dvg_world_root_first(w, choose_of, &c));
done:
  if (status != DVG_OK) dvg_protocol_free(p);
  return status;
}

static void free_side(struct dvg_side *side) {
  dvg_free(&side->row);
  dvg_free(&side->person);
  dvg_free(&side->embedding);
}

void dvg_protocol_free(struct dvg_protocol *p) {
  free_side(&p->gallery);
  free_side(&p->probes);
  dvg_free(&p->gallery_images);
  dvg_free(&p->probe_number);
  for (int i = 0; i < 2; i++) {
    dvg_image_set_close(&p->set[i]);
    dvg_features_close(&p->features[i]);
  }
}

// ---- embeddings

// Known before anything is computed, and said by one rank.
static enum dvg_status check_size(const struct dvg_side *side, const struct dvg_embedder *e) {
  const struct dvg_image_set *set = side->set;
  if (set->H >= e->file.model.size && set->W >= e->file.model.size) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: images of %lld x %lld are smaller than the %lld x %lld that %s takes",
                  dvg_artifact_path(set->file), (long long)set->W, (long long)set->H,
                  (long long)e->file.model.size, (long long)e->file.model.size, e->file.path);
}

enum dvg_status dvg_protocol_check(const struct dvg_protocol *p, const struct dvg_world *w,
                                   const struct dvg_embedder *e) {
  if (!p->gallery.set) return DVG_OK;
  enum dvg_status status = w->rank == 0 ? check_size(&p->gallery, e) : DVG_OK;
  if (status == DVG_OK && w->rank == 0) status = check_size(&p->probes, e);
  return dvg_world_agree(w, status);
}

static struct dvg_side *side_of(struct dvg_protocol *p, int role) {
  return role == DVG_GALLERY ? &p->gallery : &p->probes;
}

// Those images of set number k that any of n protocols takes are embedded, and copied to where they are wanted.
static enum dvg_status embed_set(struct dvg_protocol *p, int64_t n, int k, const struct dvg_world *w,
                                 struct dvg_embedder *e) {
  const struct dvg_image_set *set = &p->set[k];
  const int first_role = k == 0 ? DVG_GALLERY : DVG_PROBE,
            last_role = k == 0 && !p->same_set ? DVG_GALLERY : DVG_PROBE;
  int64_t *place = NULL, *row = NULL, n_rows = 0; // place among the rows, counted from 1
  float *x = NULL;
  enum dvg_status status = DVG_NEW(&place, set->N, "places of images");
  if (status == DVG_OK) status = DVG_NEW(&row, set->N, "rows of images");
  DVG_TRY_GOTO(dvg_world_agree(w, status));
  for (int64_t f = 0; f < n; f++)
    for (int role = first_role; role <= last_role; role++)
      for (int64_t i = 0; i < side_of(&p[f], role)->n; i++) place[side_of(&p[f], role)->row[i]] = 1;
  for (int64_t i = 0; i < set->N; i++)
    if (place[i]) row[n_rows++] = i, place[i] = n_rows;
  DVG_TRY_GOTO(dvg_world_agree(w, dvg_alloc((void **)&x, n_rows, DVG_CODE * sizeof *x, "embeddings")));
  DVG_TRY_GOTO(dvg_embed_shared(e, w, set, row, n_rows, x));
  for (int64_t f = 0; f < n; f++)
    for (int role = first_role; role <= last_role; role++) {
      struct dvg_side *s = side_of(&p[f], role);
      for (int64_t i = 0; i < s->n; i++)
        memcpy(s->embedding + i * DVG_CODE, x + (place[s->row[i]] - 1) * DVG_CODE, DVG_CODE * sizeof *x);
    }
done:
  dvg_free(&place);
  dvg_free(&row);
  dvg_free(&x);
  return status;
}

enum dvg_status dvg_protocols_embed(struct dvg_protocol *p, int64_t n, const struct dvg_world *w,
                                    struct dvg_embedder *e) {
  if (!p->gallery.set) return DVG_OK;
  if (n == 1) { // without a copy: a gallery may be large
    for (int role = 0; role < DVG_N_ROLES; role++) {
      struct dvg_side *s = side_of(p, role);
      DVG_TRY(dvg_embed_shared(e, w, s->set, s->row, s->n, s->embedding));
    }
    return DVG_OK;
  }
  DVG_TRY(embed_set(p, n, 0, w, e));
  return p->same_set ? DVG_OK : embed_set(p, n, 1, w, e);
}
