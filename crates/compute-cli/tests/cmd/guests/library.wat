(module (func (export "_initialize")))
