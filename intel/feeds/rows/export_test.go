package rows

// CutComment is cutComment, for the tests from outside.
var CutComment = cutComment
