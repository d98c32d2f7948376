// Programs that run as somebody else than root, for what root is exempt from.

import { spawnSync } from 'node:child_process'

/** Arguments of `setpriv`: the user of this number, who may read the checkout and the test's directory all the same. */
export const asUser = (id) => [
  '--reuid',
  id,
  '--regid',
  id,
  '--clear-groups',
  '--inh-caps',
  '+dac_override',
  '--ambient-caps',
  '+dac_override',
]

export const AS_NOBODY = asUser('54321')

/** Why a test that needs {@link AS_NOBODY} is skipped, or `false`. */
export const NEEDS_NOBODY =
  spawnSync('setpriv', [...AS_NOBODY, process.execPath, '-e', '']).status === 0 ? false : 'needs setpriv'
