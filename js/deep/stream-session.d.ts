import { StreamSession } from '../../index'

export = StreamSession
