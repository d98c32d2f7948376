// The versions of the real CLI that tests run on. All of them are named here alone.

/** The oldest that is supported; what it and older ones do otherwise is in docs/protocol.md. */
export const OLDEST = '2.1.150'

/** Every change is tested on these, newest first: today's CLI, one with the older habits, and the oldest. */
export const PINNED = ['2.1.331', '2.1.197', OLDEST]

/** Stands for the newest version that the registry serves, whichever that is. */
export const NEWEST = 'newest'

/** What is tested before an issue is closed and before a release: the newest, and each version that brought a new habit. */
export const MATRIX = [NEWEST, '2.1.331', '2.1.330', '2.1.300', '2.1.260', '2.1.197', '2.1.179', OLDEST]

/** Conversations of these are recorded in `__test__/fixtures/recorded`; their prices are in `cases.mjs` there. */
export const RECORDED = ['2.1.330', '2.1.197']
