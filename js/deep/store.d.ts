import { Store } from '../../index'

export = Store
