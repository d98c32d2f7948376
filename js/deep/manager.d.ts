import { SessionManager } from '../../index'

export = SessionManager
