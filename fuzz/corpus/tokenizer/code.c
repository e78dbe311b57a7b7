int main(void)
{
    for (size_t i = 0; i < n; i++)
        sum += a[i]; /* ======== */
    return 0;
}
