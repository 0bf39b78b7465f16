// Which settings of dvg-generate go together.
#include "common/base/log.h"
#include "stages/generate/generate.h"

int dvg_generate_revokes(const struct dvg_generate_settings *s) {
  return s->revoke_people[0] || s->revoke_images[0] || s->revoke_file[0] || s->revoke_identities[0];
}

int dvg_generate_paints(const struct dvg_generate_settings *s) {
  return !dvg_generate_revokes(s) || s->revoke == DVG_REVOKE_REMAKE;
}

const char *dvg_generate_model(const struct dvg_generate_settings *s) {
  if (s->repair || dvg_generate_revokes(s)) return s->out;
  return s->like[0] ? s->like : NULL;
}

enum dvg_status dvg_generate_check_usage(const struct dvg_generate_settings *s) {
  if ((s->repair != 0) + (s->only >= 0) + dvg_generate_revokes(s) > 1)
    return dvg_fail(DVG_ERROR_USAGE, "--repair, --only and --revoke-... are three things: choose one");
  struct dvg_shards trial = {0};
  DVG_TRY(dvg_shards_set_part(&trial, s->part));
  if (s->part[0] && (s->repair || s->only >= 0 || dvg_generate_revokes(s)))
    return dvg_fail(DVG_ERROR_USAGE, "--part is for making a set, not for --repair, --only and --revoke-...");
  if (s->like[0] && s->only < 0) return dvg_fail(DVG_ERROR_USAGE, "--like goes with --only");
  if (s->revoke != DVG_REVOKE_LIST && !dvg_generate_revokes(s))
    return dvg_fail(DVG_ERROR_USAGE, "--revoke without --revoke-people, --revoke-images, --revoke-file or --revoke-identities");
  if (s->listing[0] && !dvg_generate_revokes(s))
    return dvg_fail(DVG_ERROR_USAGE, "--listing goes with --revoke-...");
  if (s->sampler[0] && s->identities[0])
    return dvg_fail(DVG_ERROR_USAGE, "--sampler and --identities are two sources of identities: choose one");
  int nobody = !s->sampler[0] && !s->identities[0];
  const char *missing = dvg_generate_paints(s) && !s->generator[0] ? "--generator"
                        : dvg_generate_paints(s) && nobody         ? "--sampler"
                        : !dvg_generate_model(s) && !s->domain[0]  ? "--domain"
                                                                   : NULL;
  if (missing) return dvg_fail(DVG_ERROR_USAGE, "missing option: %s; see --help", missing);
  return DVG_OK;
}

int dvg_generate_uses_bank(const struct dvg_generate_settings *s) {
  return s->attributes != DVG_ATTRIBUTES_PRIOR;
}

enum dvg_status dvg_generate_check_settings(const struct dvg_generate_settings *s) {
  if (!dvg_generate_uses_bank(s) && (s->revoke_people[0] || s->revoke_images[0] || s->revoke_file[0]))
    return dvg_fail(DVG_ERROR_USAGE, "--attributes prior draws on no image: there is nobody to revoke");
  if (dvg_generate_uses_bank(s) && !s->bank[0])
    return dvg_fail(DVG_ERROR_USAGE, "missing option: --bank; see --help");
  if (s->min_consistency > -1 && dvg_generate_paints(s) && !s->recognizer[0])
    return dvg_fail(DVG_ERROR_USAGE, "--min-consistency needs a --recognizer to judge by");
  if (s->count > INT64_C(9000000000000000) - s->first)
    return dvg_fail(DVG_ERROR_USAGE, "--first %lld --count %lld: pair numbers end at 9e15", (long long)s->first,
                    (long long)s->count);
  return DVG_OK;
}
