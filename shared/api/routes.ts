/**
 * The names of the Milvus RESTful API v2 surface (API.md 1.4), built or not.
 *
 * A verb listed here that no route table holds answers `UNSUPPORTED` with its name; a path that is
 * not listed is a plain-text 404, as in Milvus.
 */
export const BASE_PATH = '/v2/vectordb';

const FAMILIES = {
  collections: [
    'create list has describe get_stats get_load_state load refresh_load release drop truncate flush',
    'rename alter_properties drop_properties add_function alter_function drop_function compact',
    'get_compaction_state fields/alter_properties fields/add fields/drop add_function_field',
    'drop_function_field struct_fields/add clone',
  ],
  databases: ['create drop list describe alter alter_properties drop_properties'],
  entities: ['insert upsert delete get query search hybrid_search advanced_search'],
  partitions: ['list has get_stats create drop load release'],
  indexes: ['list create drop describe alter_properties drop_properties'],
  aliases: ['list describe create alter drop'],
  users: ['list describe create update_password drop grant_role revoke_role'],
  roles: [
    'list describe create alter drop grant_privilege revoke_privilege grant_privilege_v2',
    'revoke_privilege_v2',
  ],
  privilege_groups: ['create drop list add_privileges_to_group remove_privileges_from_group'],
  'jobs/import': ['create list describe get_progress commit abort'],
  'jobs/snapshot': ['describe list export restore_external'],
  'jobs/external_collection': ['refresh describe list'],
  'jobs/restore': ['create describe list'],
  snapshots: ['create list describe drop pin unpin restore'],
  resource_groups: ['create drop alter describe list transfer_replica'],
  segments: ['describe'],
  quotacenter: ['describe'],
  common: ['run_analyzer'],
  file_resources: ['add remove list'],
} as const;

/** Every path of the surface, e.g. `/v2/vectordb/entities/insert`. */
export const KNOWN_PATHS: ReadonlySet<string> = new Set(
  Object.entries(FAMILIES).flatMap(([family, verbs]) =>
    verbs.flatMap((line) => line.split(' ').map((verb) => `${BASE_PATH}/${family}/${verb}`)),
  ),
);

/** The key of a route in a route table, in API Gateway's notation. */
export const routeKey = (path: string): string => `POST ${path}`;
