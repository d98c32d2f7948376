// The main package alone: prints the code and the message of the error.

try {
  console.log(typeof require('clearctx'))
} catch (error) {
  console.log(JSON.stringify({ ...error, cause: error.cause?.code, message: error.message }))
}
