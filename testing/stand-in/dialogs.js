'use strict'

/** Tools that talk with the user: what an allowed call of them says and changes. */

const fs = require('fs')

/** Where the CLI keeps plans; plan mode lets the model write there. */
const PLAN_FILE = /[\\/]plans[\\/][^\\/]+\.md$/

const isPlanFile = (file) => PLAN_FILE.test(String(file ?? ''))

const answerQuestions = (input) => {
  const { questions, answers } = input
  const given = Object.entries(answers ?? {}).map(([asked, label]) => `"${asked}"="${label}"`)
  const content =
    given.length > 0
      ? `Your questions have been answered: ${given.join(', ')}. You can now continue with these answers in mind.`
      : 'The user did not answer the questions.'
  return { content, plain: true, detail: { questions, answers: answers ?? {} } }
}

const leavePlan = ({ plan, planFilePath }) => ({
  content:
    'User has approved your plan. You can now start coding.' +
    (planFilePath ? `\n\nYour plan has been saved to: ${planFilePath}` : ''),
  plain: true,
  detail: { plan: plan ?? null, isAgent: false, ...(planFilePath && { filePath: planFilePath }) },
})

const enterPlan = (session) => {
  session.changeMode('plan')
  return { content: 'Entered plan mode.', plain: true, detail: { message: 'Entered plan mode.' } }
}

const DIALOGS = {
  AskUserQuestion: (session, input) => answerQuestions(input),
  ExitPlanMode: (session, input) => leavePlan(input),
  EnterPlanMode: (session) => enterPlan(session),
}

/** The newer CLI takes the plan from its file, whatever the model passes. */
const planInput = (session, input) => {
  if (!session.habit.newer) return input
  if (!session.planFile || !fs.existsSync(session.planFile)) return {}
  return { plan: fs.readFileSync(session.planFile, 'utf8'), planFilePath: session.planFile }
}

module.exports = { DIALOGS, planInput, isPlanFile }
