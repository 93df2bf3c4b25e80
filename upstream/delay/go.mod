module stackmatrix/delay

go 1.24
