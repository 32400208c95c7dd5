"""Words and grammars of mail messages: pure, with no input or output and no clock."""
