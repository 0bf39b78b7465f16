#include "stages/import/import.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"

#define S struct dvg_import_settings
static const struct dvg_option options[] = {
    DVG_OPTION_CHOICE(S, net, "net", "none", "none|lightcnn29v2|identity_sampler|encoder|decoder|generator",
                      "network that the tensors make; none is enough for --list"),
    DVG_OPTION_PATH(S, in, "in", "",
                    "file of PyTorch (legacy or zip) or safetensors; with --export a weight file"),
    DVG_OPTION_PATH(S, out, "out", "",
                    "weight file to write; with --export FILE.safetensors or a file of PyTorch"),
    DVG_OPTION_PATH(S, encoders, "encoders", "",
                    "generator from three files: FILE,FILE, one for each of --domains"),
    DVG_OPTION_PATH(S, decoder, "decoder", "", "generator from three files: that of the decoder"),
    DVG_OPTION_TEXT(S, domains, "domains", "NIR,VIS", "decoder, generator: the two domains"),
    DVG_OPTION_TEXT(
        S, heads, "heads", "",
        "what the decoder's file calls their heads (nir,vis in nir_output, vis_output); \"\": as --domains"),
    DVG_OPTION_REAL(S, width, "width", "1", 0.01, 16, "multiplier of the network's channels"),
    DVG_OPTION_INT(S, size, "size", "128", 32, 1024, "side of the images, a multiple of 32"),
    DVG_OPTION_LOCAL_INT(S, code, "code", "256", 1, DVG_MAX_CODE,
                         "values of an identity, and of an attribute code; another recogniser's may have other than 256"),
    DVG_OPTION_LOCAL_FLAG(S, list, "list", "no", "print every key with shape, type and fate; write nothing"),
    DVG_OPTION_LOCAL_FLAG(S, to_torch, "export", "no", "the other way: write a weight file for PyTorch"),
    DVG_OPTION_TEXT(S, part, "part", "",
                    "--export: only parameters whose names begin so (encoder.nir.), without that beginning"),
    DVG_OPTION_END};
#undef S

static const char *const roles[] = {"encoder", "encoder", "decoder"};

struct job {
  const struct dvg_import_settings *set;
  struct dvg_import_network net;
  int n_sources;
  struct dvg_import_source source[DVG_IMPORT_SOURCES];
};

// ---- settings

static enum dvg_status check_settings(const struct dvg_import_settings *s) {
  int n_parts = (s->encoders[0] != 0) + (s->decoder[0] != 0);
  if (s->list && s->to_torch) return dvg_fail(DVG_ERROR_USAGE, "--list and --export exclude each other");
  if (!s->list && !s->out[0]) return dvg_fail(DVG_ERROR_USAGE, "--out is needed");
  if (s->part[0] && !s->to_torch) return dvg_fail(DVG_ERROR_USAGE, "--part is for --export");
  if (n_parts && (s->net != DVG_IMPORT_GENERATOR || s->to_torch))
    return dvg_fail(DVG_ERROR_USAGE, "--encoders and --decoder are for --net generator");
  if (n_parts == 1 || (n_parts == 2) == (s->in[0] != 0))
    return dvg_fail(DVG_ERROR_USAGE, "--in is needed%s",
                    s->net == DVG_IMPORT_GENERATOR ? ", or both --encoders and --decoder" : "");
  if (s->heads[0] && !(s->net == DVG_IMPORT_DECODER || n_parts))
    return dvg_fail(DVG_ERROR_USAGE, "--heads is for the file of a decoder");
  return s->net == DVG_IMPORT_NONE && !s->list && !s->to_torch
             ? dvg_fail(DVG_ERROR_USAGE, "--net is needed: which network is it?")
             : DVG_OK;
}

static enum dvg_status add_source(struct job *j, const char *role, const char *prefix, const char *path,
                                  size_t length) {
  struct dvg_import_source *from = &j->source[j->n_sources];
  *from = (struct dvg_import_source){.role = role};
  if (length == 0 || length >= sizeof from->path)
    return dvg_fail(DVG_ERROR_USAGE, "--encoders and --decoder: '%.*s' is no path", (int)length, path);
  j->n_sources++;
  snprintf(from->path, sizeof from->path, "%.*s", (int)length, path);
  snprintf(from->prefix, sizeof from->prefix, "%s", prefix);
  return DVG_OK;
}

static enum dvg_status find_sources(struct job *j) {
  const struct dvg_import_settings *s = j->set;
  char prefix[64];
  if (!s->decoder[0]) {
    DVG_TRY(add_source(j, "weights", "", s->in, strlen(s->in)));
    j->source[0].rename_heads = s->net == DVG_IMPORT_DECODER;
    return DVG_OK;
  }
  const char *comma = strchr(s->encoders, ',');
  if (!comma || strchr(comma + 1, ','))
    return dvg_fail(DVG_ERROR_USAGE, "--encoders %s: two files are needed, FILE,FILE", s->encoders);
  const char *path[] = {s->encoders, comma + 1, s->decoder};
  const size_t length[] = {(size_t)(comma - s->encoders), strlen(comma + 1), strlen(s->decoder)};
  for (int k = 0; k < DVG_IMPORT_SOURCES; k++) {
    if (k < DVG_IMPORT_DOMAINS) snprintf(prefix, sizeof prefix, "encoder.%s.", j->net.domain[k]);
    else snprintf(prefix, sizeof prefix, "decoder.");
    DVG_TRY(add_source(j, roles[k], prefix, path[k], length[k]));
  }
  j->source[DVG_IMPORT_DOMAINS].rename_heads = 1;
  return DVG_OK;
}

// ---- work

static enum dvg_status check_sources(const struct job *j) {
  int64_t n_problems = 0;
  const char *first = NULL;
  for (int k = 0; k < j->n_sources; k++) {
    int64_t more = dvg_import_source_problems(&j->source[k], &j->net);
    if (more && !first) first = j->source[k].path;
    n_problems += more;
  }
  if (!first) return DVG_OK;
  return dvg_fail(DVG_ERROR_INPUT, "%s: does not make %s of width %g and size %lld: %lld %s named above", first,
                  j->net.file.net, j->set->width, (long long)j->set->size, (long long)n_problems,
                  n_problems == 1 ? "problem" : "problems");
}

static enum dvg_status save(struct job *j, struct dvg_lineage *l) {
  char digest[DVG_DIGEST_TEXT];
  for (int k = 0; k < j->n_sources; k++) {
    DVG_TRY(dvg_tensors_digest(&j->source[k].file, digest));
    dvg_lineage_add(l, j->source[k].role, j->source[k].path, digest);
  }
  DVG_TRY(dvg_weights_save(j->set->out, &j->net.params, "", &j->net.file, l, digest));
  dvg_info("%s: %s, %lld parameters with %lld values, digest %s", j->set->out, j->net.file.net,
           (long long)j->net.params.n_params, (long long)j->net.params.n_values, digest);
  return DVG_OK;
}

static enum dvg_status import(struct job *j, const struct dvg_options *o) {
  struct dvg_lineage l;
  DVG_TRY(check_sources(j));
  DVG_TRY(dvg_params_allocate(&j->net.params, 0)); // the graph is never run: it needs no memory
  for (int k = 0; k < j->n_sources; k++) {
    dvg_import_source_ignored(&j->source[k]);
    DVG_TRY(dvg_import_source_load(&j->source[k], &j->net));
  }
  DVG_TRY(dvg_lineage_init(&l, o));
  enum dvg_status status = save(j, &l);
  dvg_lineage_free(&l);
  return status;
}

static enum dvg_status work(struct job *j, const struct dvg_options *o) {
  DVG_TRY(check_settings(j->set));
  if (j->set->to_torch) return dvg_import_back(j->set);
  DVG_TRY(dvg_import_network_name(&j->net, j->set));
  DVG_TRY(find_sources(j));
  for (int k = 0; k < j->n_sources; k++) DVG_TRY(dvg_import_source_open(&j->source[k], &j->net));
  if (!j->set->list) return import(j, o);
  for (int k = 0; k < j->n_sources; k++) dvg_import_source_list(&j->source[k], &j->net);
  return DVG_OK;
}

// One file is read and one written: rank 0 does it, the others learn how it went.
static enum dvg_status run(const struct dvg_options *o, const struct dvg_world *w) {
  struct job j = {.set = o->values};
  enum dvg_status status = w->rank == 0 ? work(&j, o) : DVG_OK;
  for (int k = 0; k < j.n_sources; k++) dvg_import_source_free(&j.source[k]);
  dvg_import_network_free(&j.net);
  return dvg_world_agree(w, status);
}

const struct dvg_stage dvg_stage_import = {
    "dvg-import",
    "weights of PyTorch and safetensors files into weight files, and back",
    options,
    NULL,
    sizeof(struct dvg_import_settings),
    run};
