// `import` from a project in which the packages are installed.

import { SessionManager, Store, StreamSession } from 'clearctx'
import * as testing from 'clearctx/testing'

import exercise from './exercise.cjs'

await exercise({ SessionManager, Store, StreamSession }, testing, process.argv[2])
console.log('done')
